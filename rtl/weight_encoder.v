// Turns a weight into the form that a multiplier structure stores.
//
// Structure: by MULTIPLIER, most significant bit first,
//            "sign_magnitude"       {sign, magnitude}
//            "booth_stored", "split" {negative, two, one}, DIGITS bits each, see booth_digits.v
//            "one_digit"            {at most one digit is not zero, negative, two, one}
//            "two_row"              {all digits but the upper rows' are zero, negative, two, one}
//            others                 the weight itself
// Latency:   combinational; it runs once per weight load, off the MAC's path.
// Why:       in a weight-stationary array the recoding of a weight is paid once per tile, not per cycle.
module weight_encoder #(
  parameter WEIGHT_WIDTH       = 8,
  parameter SIGNED             = 1,
  parameter [127:0] MULTIPLIER = "array",
  parameter CODE_WIDTH         = WEIGHT_WIDTH  // see mac.v
) (
  input  wire [WEIGHT_WIDTH-1:0] weight,
  output wire [CODE_WIDTH-1:0]   code
);

  localparam DIGITS = (SIGNED != 0) ? (WEIGHT_WIDTH + 1) / 2 : WEIGHT_WIDTH / 2 + 1;

  generate
    if (MULTIPLIER == "sign_magnitude") begin : gen_sign_magnitude
      wire sign = (SIGNED != 0) ? weight[WEIGHT_WIDTH-1] : 1'b0;
      assign code = {sign, (weight ^ {WEIGHT_WIDTH{sign}}) + {{(WEIGHT_WIDTH - 1) {1'b0}}, sign}};
    end else if (MULTIPLIER == "booth_stored" || MULTIPLIER == "split" ||
                 MULTIPLIER == "one_digit" || MULTIPLIER == "two_row") begin : gen_digits
      wire [DIGITS-1:0] one;
      wire [DIGITS-1:0] two;
      wire [DIGITS-1:0] negative;
      booth_digits #(.WEIGHT_WIDTH(WEIGHT_WIDTH), .SIGNED(SIGNED)) u_digits (
        .weight(weight), .one(one), .two(two), .negative(negative)
      );
      if (MULTIPLIER == "one_digit") begin : gen_one_digit
        wire [DIGITS-1:0] used = one | two;
        // Clearing the lowest set bit leaves nothing.
        wire single = (used & (used - {{(DIGITS - 1) {1'b0}}, 1'b1})) == {DIGITS{1'b0}};
        assign code = {single, negative, two, one};
      end else if (MULTIPLIER == "two_row") begin : gen_two_row
        // An unsigned weight of even width has a third upper digit, the carry out of its top bit pair.
        localparam UPPER = (SIGNED == 0 && WEIGHT_WIDTH % 2 == 0) ? 3 : 2;
        localparam LOWER = (DIGITS > UPPER) ? DIGITS - UPPER : 0;
        wire [DIGITS-1:0] lower_mask = ~({DIGITS{1'b1}} << LOWER);
        assign code = {((one | two) & lower_mask) == {DIGITS{1'b0}}, negative, two, one};
      end else begin : gen_plain_digits
        assign code = {negative, two, one};
      end
    end else begin : gen_plain
      assign code = weight;
    end
  endgenerate

endmodule
