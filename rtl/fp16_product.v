// Exact product of two unpacked half-precision numbers, in the form of single precision.
//
// Structure: 11 x 11 multiplier (see multiplier.v), adder of exponents, a shift by one bit where the product lies
//            in [1, 2).
// Latency:   combinational.
// Why:       22 bits of significand and exponents of 79 to 158 fit into single precision: nothing is rounded
//            here, so adding the product to a sum rounds once, as a fused operation does.
module fp16_product #(
  parameter [127:0] MULTIPLIER = "dadda",
  parameter [127:0] ADDER      = "sklansky"
) (
  input  wire [5:0]  exponent_a,
  input  wire [10:0] significand_a,
  input  wire [5:0]  exponent_b,
  input  wire [10:0] significand_b,
  output wire [7:0]  exponent,     // 0 for a zero
  output wire [23:0] significand   // first bit 1, or all 0
);

  // The multipliers leave a bit above an unsigned product.
  wire [22:0] product;
  wire [22:0] unused_carry;
  multiplier #(
    .WEIGHT_WIDTH(11), .ACTIVATION_WIDTH(11), .SIGNED(0), .MULTIPLIER(MULTIPLIER), .ADDER(ADDER),
    .ROW_ORDER("low_first"), .RECODE("weight"), .RESOLVE(1), .CODE_WIDTH(11)
  ) u_multiplier (
    .code(significand_a), .activation(significand_b), .sum(product), .carry(unused_carry)
  );

  wire       is_zero = ~significand_a[10] | ~significand_b[10];
  wire       is_wide = product[21];
  wire [7:0] sum     = {2'b00, exponent_a} + {2'b00, exponent_b} + {7'd38, is_wide} + 8'd1;

  assign exponent    = is_zero ? 8'd0 : sum;
  assign significand = is_wide ? {product[21:0], 2'b00} : {product[20:0], 3'b000};
  wire unused_top = product[22];

endmodule
