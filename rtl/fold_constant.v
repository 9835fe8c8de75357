// The weight-only constant that a folded multiplier leaves out: product = weight * activation - constant.
//
// Structure: with the digits of booth_digits.v, N the sum of the magnitudes of the negative ones (weighed),
//            constant = -N * (2^A - 1) - (SIGNED ? weight * 2^(A-1) : 0)   (mod 2^ACCUMULATOR_WIDTH).
//            The first term undoes the one's complements, the second the shift of the activation.
//            Multipliers that are not folded have constant 0.
// Latency:   combinational; it runs once per weight, off the MAC's path.
// Why:       the sum over a column's weights is one bias for the whole column.
module fold_constant #(
  parameter WEIGHT_WIDTH       = 8,
  parameter ACTIVATION_WIDTH   = 8,
  parameter ACCUMULATOR_WIDTH  = 24,
  parameter SIGNED             = 1,
  parameter [127:0] MULTIPLIER = "booth_stored"
) (
  input  wire [WEIGHT_WIDTH-1:0]      weight,
  output wire [ACCUMULATOR_WIDTH-1:0] constant
);

  localparam DIGITS = (SIGNED != 0) ? (WEIGHT_WIDTH + 1) / 2 : WEIGHT_WIDTH / 2 + 1;
  localparam FOLDED = MULTIPLIER == "booth_stored" || MULTIPLIER == "split" ||
                      MULTIPLIER == "one_digit" || MULTIPLIER == "two_row";

  generate
    if (FOLDED) begin : gen_folded
      wire [DIGITS-1:0] one;
      wire [DIGITS-1:0] two;
      wire [DIGITS-1:0] negative;
      booth_digits #(.WEIGHT_WIDTH(WEIGHT_WIDTH), .SIGNED(SIGNED)) u_digits (
        .weight(weight), .one(one), .two(two), .negative(negative)
      );

      wire [2*DIGITS-1:0] magnitude;  // N
      genvar i;
      for (i = 0; i < DIGITS; i = i + 1) begin : gen_digit
        assign magnitude[2*i+:2] = {two[i] & negative[i], one[i] & negative[i]};
      end

      wire [ACCUMULATOR_WIDTH-1:0] wide_magnitude;
      wire [ACCUMULATOR_WIDTH-1:0] wide_weight;
      extend #(.IN_WIDTH(2 * DIGITS), .OUT_WIDTH(ACCUMULATOR_WIDTH)) u_magnitude (
        .in(magnitude), .fill(1'b0), .out(wide_magnitude)
      );
      extend #(.IN_WIDTH(WEIGHT_WIDTH), .OUT_WIDTH(ACCUMULATOR_WIDTH)) u_weight (
        .in(weight), .fill(weight[WEIGHT_WIDTH-1]), .out(wide_weight)
      );
      wire [ACCUMULATOR_WIDTH-1:0] complements = wide_magnitude - (wide_magnitude << ACTIVATION_WIDTH);
      if (SIGNED != 0) begin : gen_signed
        assign constant = complements - (wide_weight << (ACTIVATION_WIDTH - 1));
      end else begin : gen_unsigned
        assign constant = complements;
        wire unused_weight = ^wide_weight;
      end
    end else begin : gen_none
      assign constant = {ACCUMULATOR_WIDTH{1'b0}};
      wire unused_weight = ^weight;
    end
  endgenerate

endmodule
