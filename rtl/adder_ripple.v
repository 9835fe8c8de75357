// Ripple-carry adder: sum = a + b (mod 2^WIDTH).
//
// Structure: a chain of full adders, one per bit.
// Latency:   combinational, WIDTH carries deep.
// Why:       the smallest adder. Its delay grows with the number of columns that really carry, so
//            constant low columns of a weight class shorten it directly.
module adder_ripple #(
  parameter WIDTH = 16
) (
  input  wire [WIDTH-1:0] a,
  input  wire [WIDTH-1:0] b,
  output wire [WIDTH-1:0] sum
);

  wire [WIDTH-1:0] propagate = a ^ b;

  genvar i;
  generate
    for (i = 0; i < WIDTH; i = i + 1) begin : gen_bit
      wire carry;  // into bit i
      if (i == 0) begin : gen_first
        assign carry = 1'b0;
      end else begin : gen_next
        assign carry = (a[i-1] & b[i-1]) | (propagate[i-1] & gen_bit[i-1].carry);
      end
      assign sum[i] = propagate[i] ^ carry;
    end
  endgenerate

endmodule
