// Half precision to a sign, an exponent and a significand whose first bit is 1, subnormal numbers too.
//
// Structure: leading zeros of the fraction, a shift by them, and a choice by the exponent field.
// Latency:   combinational.
// Why:       a product of normalised significands lies in [1, 4), so that what adds it needs no wider operands
//            for subnormal ones.
//
// value = significand * 2^(exponent - 35), with significand 0 for zeros; infinite and NaN are flags.
module fp16_unpack (
  input  wire [15:0] value,
  output wire        sign,
  output wire [5:0]  exponent,      // 1 ... 40
  output wire [10:0] significand,
  output wire        is_infinite,
  output wire        is_nan
);

  wire [4:0] field    = value[14:10];
  wire [9:0] fraction = value[9:0];
  wire       is_subnormal = field == 5'd0;
  wire       is_special   = &field;

  wire [3:0] zeros;
  leading_zeros #(.WIDTH(10), .COUNT_WIDTH(4)) u_zeros (.value(fraction), .count(zeros));

  assign sign        = value[15];
  assign exponent    = is_subnormal ? 6'd10 - {2'b00, zeros} : {1'b0, field} + 6'd10;
  assign significand = is_subnormal ? {fraction << zeros, 1'b0} : {1'b1, fraction};
  assign is_infinite = is_special && fraction == 10'd0;
  assign is_nan      = is_special && fraction != 10'd0;

endmodule
