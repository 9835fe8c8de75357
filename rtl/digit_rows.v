// Folded partial-product rows of stored Booth digits.
//
// Structure: row i = |digit i| * (digit i < 0 ? ~x : x), x the activation plus 2^(A-1) when SIGNED, so that
//            it counts from 0; two AND-ORs and an XOR per dot.
// Latency:   combinational, two gates; the digits are static.
// Why:       no dot is negative and the row of a zero digit is exactly zero: no sign extension, no constant
//            ones, nothing for a path to hide behind. What is missing depends on the weight alone,
//            see fold_constant.v, and is added once per column.
module digit_rows #(
  parameter DIGITS           = 4,
  parameter ACTIVATION_WIDTH = 8,
  parameter SIGNED           = 1
) (
  input  wire [DIGITS-1:0]                      one,
  input  wire [DIGITS-1:0]                      two,
  input  wire [DIGITS-1:0]                      negative,
  input  wire [ACTIVATION_WIDTH-1:0]            activation,
  output wire [DIGITS*(ACTIVATION_WIDTH+1)-1:0] rows  // row i, weighing 4^i, is rows[i*(A+1) +: A+1]
);

  localparam A = ACTIVATION_WIDTH;

  wire [A-1:0] folded = {activation[A-1] ^ (SIGNED != 0), activation[A-2:0]};

  genvar i;
  generate
    for (i = 0; i < DIGITS; i = i + 1) begin : gen_row
      wire [A-1:0] signed_one = folded ^ {A{negative[i]}};
      assign rows[i*(A+1)+:A+1] = ({1'b0, signed_one} & {(A + 1) {one[i]}}) |
                                  ({signed_one, 1'b0} & {(A + 1) {two[i]}});
    end
  endgenerate

endmodule
