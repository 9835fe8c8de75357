// Adder whose carries stop at the ends of its parts: sum + carries_out = enable ? a + b + carries_in : 0.
// Sums are modulo 2^WIDTH.
//
// Structure: one adder, see adder.v, for each PART_WIDTH columns. Its carry leaves as the bit of carries_out that has
//            the next part's weight; the bit of carries_in of that weight is added as the part's carry in.
// Latency:   combinational, an adder of PART_WIDTH columns.
// Why:       down a column of elements a carry may as well enter the next part one element later: the sum keeps
//            two rows, but the second one has a bit per part only, and no stage holds a long adder.
//
// Bits of carries_in inside a part are not read, those of carries_out are 0.
module part_adder #(
  parameter WIDTH         = 24,
  parameter PART_WIDTH    = 4,
  parameter [127:0] ADDER = "kogge_stone"
) (
  input  wire             enable,
  input  wire [WIDTH-1:0] a,
  input  wire [WIDTH-1:0] b,
  input  wire [WIDTH-1:0] carries_in,
  output wire [WIDTH-1:0] sum,
  output wire [WIDTH-1:0] carries_out
);

  genvar start;
  generate
    for (start = 0; start < WIDTH; start = start + PART_WIDTH) begin : gen_part
      localparam END = (start + PART_WIDTH < WIDTH) ? start + PART_WIDTH : WIDTH;
      localparam N = END - start;
      wire carry;
      wire unused_column;
      adder #(.WIDTH(N + 2), .ADDER(ADDER)) u_adder (
        .enable(enable), .a({1'b0, a[start+:N], carries_in[start]}), .b({1'b0, b[start+:N], carries_in[start]}),
        .sum({carry, sum[start+:N], unused_column})
      );
      if (start == 0) begin : gen_lowest
        assign carries_out[N-1:0] = {N{1'b0}};
      end
      if (END < WIDTH) begin : gen_next
        localparam M = (END + PART_WIDTH < WIDTH) ? PART_WIDTH : WIDTH - END;
        extend #(.IN_WIDTH(1), .OUT_WIDTH(M)) u_carry (.in(carry), .fill(1'b0), .out(carries_out[END+:M]));
      end else begin : gen_highest
        wire unused_carry = carry;
      end
    end
  endgenerate

  // Bits inside a part.
  wire unused_carries = ^carries_in;

endmodule
