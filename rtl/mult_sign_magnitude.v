// Sign-magnitude multiplier: an unsigned array over the weight's stored magnitude, the sign kept apart.
//
// Structure: the activation is inverted when negative; rows of AND gates gated by the magnitude bits of the
//            weight, where the top bit of a signed weight, set for -2^(W-1) alone, shares the row below it; a
//            carry-save chain that takes row after row from the lowest up; a final adder, in whose free low
//            columns the +1 of each inverted row comes in.
// Latency:   combinational: XOR, WEIGHT_WIDTH - 2 full adders (one more unsigned), adder over all columns.
// Why:       without sign dots a row of a zero bit is exactly zero, for negative weights too, and a multiple
//            of 2^k skips the first k full adders: the largest spread of all, on one of the slowest paths.
//
// Output: RESOLVE = 1: sum = {sign, magnitude} of the product when SIGNED, else the product; carry = 0.
//         RESOLVE = 0: sum = product + 2^(W+A-1) when SIGNED, else the product; carry = 0. The sign comes after
//         the addition, so there is no pair to pass on.
module mult_sign_magnitude #(
  parameter WEIGHT_WIDTH     = 8,
  parameter ACTIVATION_WIDTH = 8,
  parameter SIGNED           = 1,
  parameter [127:0] ADDER    = "kogge_stone",
  parameter RESOLVE          = 1
) (
  input  wire [WEIGHT_WIDTH:0]                    code,  // {sign, magnitude}
  input  wire [ACTIVATION_WIDTH-1:0]              activation,
  output wire [WEIGHT_WIDTH+ACTIVATION_WIDTH-1:0] sum,
  output wire [WEIGHT_WIDTH+ACTIVATION_WIDTH-1:0] carry
);

  localparam W = WEIGHT_WIDTH;
  localparam A = ACTIVATION_WIDTH;
  localparam P = W + A;

  wire activation_sign = (SIGNED != 0) ? activation[A-1] : 1'b0;
  wire product_sign = (SIGNED != 0) ? code[W] ^ activation_sign : 1'b0;
  wire [A-1:0] inverted = activation ^ {A{activation_sign}};  // magnitude, less one when negative

  localparam ROWS = (SIGNED != 0) ? W - 1 : W;

  genvar i;
  generate
    for (i = 0; i < ROWS; i = i + 1) begin : gen_row
      wire [P-1:0] partial;
      wire [P-1:0] own = {{W{1'b0}}, inverted & {A{code[i]}}} << i;
      if (i == W - 2 && ROWS == W - 1) begin : gen_shared
        assign partial = own | ({{W{1'b0}}, inverted & {A{code[W-1]}}} << (W - 1));
      end else begin : gen_own
        assign partial = own;
      end
      wire [P-1:0] s;
      wire [P-1:0] c;
      if (i == 0) begin : gen_first
        assign s = partial;
        assign c = {P{1'b0}};
      end else begin : gen_next
        wire [P-1:0] x = partial ^ gen_row[i-1].s;
        assign s = x ^ gen_row[i-1].c;
        assign c = ((partial & gen_row[i-1].s) | (gen_row[i-1].c & x)) << 1;
      end
    end
  endgenerate

  // The chain leaves no carries in these columns; in column W-1 of a signed product it may leave one, but not
  // when the weight is -2^(W-1), the only one with a +1 there.
  wire [W-1:0] plus_one = code[W-1:0] & {W{activation_sign}};
  wire [P-1:0] magnitude;
  adder #(.WIDTH(P), .ADDER(ADDER)) u_final (
    .enable(1'b1), .a(gen_row[ROWS-1].s), .b(gen_row[ROWS-1].c | {{A{1'b0}}, plus_one}), .sum(magnitude)
  );

  assign carry = {P{1'b0}};
  generate
    if (SIGNED == 0) begin : gen_unsigned
      assign sum = magnitude;
      wire unused_sign = product_sign;
    end else if (RESOLVE != 0) begin : gen_sign_apart
      assign sum = {product_sign, magnitude[P-2:0]};
      wire unused_top = magnitude[P-1];  // the magnitude ends below
    end else begin : gen_offset
      wire [P-1:0] product;
      adder #(.WIDTH(P), .ADDER(ADDER)) u_negate (
        .enable(1'b1), .a(magnitude ^ {P{product_sign}}), .b({{(P - 1) {1'b0}}, product_sign}), .sum(product)
      );
      assign sum = {~product[P-1], product[P-2:0]};
    end
  endgenerate

endmodule
