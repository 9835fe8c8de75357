// End of a multiplier: adds a carry-save pair and takes its offset off, or passes the pair on.
//
// Structure: RESOLVE = 1: final adder; OFFSET = 1 inverts its top bit, which subtracts 2^(WIDTH-1) from a
//            product that was held positive. RESOLVE = 0: wires.
// Latency:   combinational, one adder or none.
// Why:       all trees end alike; MACs that merge the partial sum into the tree skip the final adder.
module resolve_pair #(
  parameter WIDTH         = 16,
  parameter [127:0] ADDER = "kogge_stone",
  parameter RESOLVE       = 1,
  parameter OFFSET        = 0
) (
  input  wire [WIDTH-1:0] in_sum,
  input  wire [WIDTH-1:0] in_carry,
  output wire [WIDTH-1:0] sum,
  output wire [WIDTH-1:0] carry
);

  generate
    if (RESOLVE != 0) begin : gen_add
      wire [WIDTH-1:0] total;
      adder #(.WIDTH(WIDTH), .ADDER(ADDER)) u_final (.enable(1'b1), .a(in_sum), .b(in_carry), .sum(total));
      assign sum = {total[WIDTH-1] ^ (OFFSET != 0), total[WIDTH-2:0]};
      assign carry = {WIDTH{1'b0}};
    end else begin : gen_pass
      assign sum = in_sum;
      assign carry = in_carry;
    end
  endgenerate

endmodule
