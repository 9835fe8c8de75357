// Single-precision adder: sum = a + b, rounded to the nearest, ties to even; subnormal numbers are kept.
//
// Structure: 1. order by magnitude; 2. shift the smaller one, what falls off joined into one bit; 3. add or
//            subtract; 4. shift the first 1 to the front, no further than the exponent allows; 5. round.
//            STAGES says where registers cut these: 1 nowhere, 2 behind 3, 3 behind 2 and 3, 4 behind 2, 3 and 4,
//            5 behind each.
// Latency:   STAGES - 1 clock edges; the register behind the result is the user's.
// Why:       one path for all cases: in a pipeline a second one for near operands would save no cycle.
//
// a comes unpacked (from fp16_product.v), b and the sum are single precision. A NaN is always 7fc00000; an
// exact difference of 0 is +0.
module fp32_accumulate #(
  parameter STAGES        = 5,           // 1 ... 5
  parameter [127:0] ADDER = "sklansky"   // see adder.v
) (
  input  wire        clk,
  input  wire        sign_a,
  input  wire [7:0]  exponent_a,
  input  wire [23:0] significand_a,
  input  wire        infinite_a,
  input  wire        nan_a,
  input  wire [31:0] b,
  output wire [31:0] sum
);

  generate
    if (STAGES < 1 || STAGES > 5) begin : gen_error
`ifdef __ICARUS__  // has no elaboration tasks, but prints the name of a missing module
      error__STAGES_must_be__1_to_5 u_error ();
`else
      $error("STAGES must be 1 to 5");
`endif
    end
  endgenerate

  // 1. Order by magnitude.
  wire        sign_b        = b[31];
  wire        b_has_one     = b[30:23] != 8'd0;
  wire        b_is_special  = &b[30:23];
  wire        infinite_b    = b_is_special && b[22:0] == 23'd0;
  wire        nan_b         = b_is_special && b[22:0] != 23'd0;
  wire [7:0]  exponent_b    = {b[30:24], b[23] | ~b_has_one};
  wire [23:0] significand_b = {b_has_one, b[22:0]};

  // a > b, where a + ~b carries out.
  wire        a_is_larger;
  wire [31:0] unused_difference;
  adder #(.WIDTH(33), .ADDER(ADDER)) u_compare (
    .enable(1'b1), .a({1'b0, exponent_a, significand_a}), .b({1'b0, ~exponent_b, ~significand_b}),
    .sum({a_is_larger, unused_difference})
  );
  wire [7:0]  exponent_1    = a_is_larger ? exponent_a : exponent_b;
  wire [7:0]  distance_a    = exponent_a - exponent_b;
  wire [7:0]  distance_b    = exponent_b - exponent_a;
  wire [7:0]  distance_1    = a_is_larger ? distance_a : distance_b;
  wire [23:0] larger_1      = a_is_larger ? significand_a : significand_b;
  wire [23:0] smaller_1     = a_is_larger ? significand_b : significand_a;
  wire        subtract_1    = sign_a ^ sign_b;
  wire        sign_1        = a_is_larger ? sign_a : sign_b;
  wire        zero_sign_1   = sign_a & sign_b;
  wire        nan_1         = nan_a | nan_b | (infinite_a & infinite_b & subtract_1);
  wire        infinite_1    = infinite_a | infinite_b;
  wire        special_sign_1 = infinite_a ? sign_a : sign_b;
  // What a result has if it is no ordinary number: {NaN, infinite, its sign, sign of a zero, sign of others}.
  wire [4:0]  kind_1        = {nan_1, infinite_1, special_sign_1, zero_sign_1, sign_1};

  wire [7:0]  exponent_1q;
  wire [7:0]  distance_1q;
  wire [23:0] larger_1q;
  wire [23:0] smaller_1q;
  wire        subtract_1q;
  wire [4:0]  kind_1q;
  pipeline_register #(.WIDTH(70), .ENABLE(STAGES >= 5)) u_ordered (
    .clk(clk), .d({exponent_1, distance_1, larger_1, smaller_1, subtract_1, kind_1}),
    .q({exponent_1q, distance_1q, larger_1q, smaller_1q, subtract_1q, kind_1q})
  );

  // 2. Shift the smaller one. 27 places and more leave only the joined bit.
  wire [4:0]  places    = (distance_1q > 8'd27) ? 5'd27 : distance_1q[4:0];
  wire [53:0] shifted   = {smaller_1q, 30'd0} >> places;
  wire [26:0] smaller_2 = {shifted[53:28], |shifted[27:0]};

  wire [7:0]  exponent_2q;
  wire [23:0] larger_2q;
  wire [26:0] smaller_2q;
  wire        subtract_2q;
  wire [4:0]  kind_2q;
  pipeline_register #(.WIDTH(65), .ENABLE(STAGES >= 3)) u_aligned (
    .clk(clk), .d({exponent_1q, larger_1q, smaller_2, subtract_1q, kind_1q}),
    .q({exponent_2q, larger_2q, smaller_2q, subtract_2q, kind_2q})
  );

  // 3. Add or subtract: never negative.
  wire [27:0] total_3;
  wire        unused_column;
  adder #(.WIDTH(29), .ADDER(ADDER)) u_add (
    .enable(1'b1), .a({1'b0, larger_2q, 3'd0, subtract_2q}), .b({{1'b0, smaller_2q} ^ {28{subtract_2q}}, subtract_2q}),
    .sum({total_3, unused_column})
  );

  wire [7:0]  exponent_3q;
  wire [27:0] total_3q;
  wire [4:0]  kind_3q;
  pipeline_register #(.WIDTH(41), .ENABLE(STAGES >= 2)) u_added (
    .clk(clk), .d({exponent_2q, total_3, kind_2q}), .q({exponent_3q, total_3q, kind_3q})
  );

  // 4. The first 1 to the front. A subnormal result keeps the zeros that its exponent cannot pay for.
  wire [4:0]  zeros;
  leading_zeros #(.WIDTH(28), .COUNT_WIDTH(5)) u_zeros (.value(total_3q), .count(zeros));
  wire        is_short   = {3'd0, zeros} > exponent_3q;
  wire [4:0]  left       = is_short ? exponent_3q[4:0] : zeros;
  wire [27:0] total_4    = total_3q << left;
  wire [8:0]  exponent_4 = {1'b0, exponent_3q} + 9'd1 - {4'd0, left};
  wire        is_zero_4  = total_3q == 28'd0;

  wire [8:0]  exponent_4q;
  wire [27:0] total_4q;
  wire        is_zero_4q;
  wire [4:0]  kind_4q;
  pipeline_register #(.WIDTH(43), .ENABLE(STAGES >= 4)) u_normalised (
    .clk(clk), .d({exponent_4, total_4, is_zero_4, kind_3q}),
    .q({exponent_4q, total_4q, is_zero_4q, kind_4q})
  );

  // 5. Round; a carry out of the fraction counts the exponent up, as it should.
  wire        round_up  = total_4q[3] & (total_4q[4] | (|total_4q[2:0]));
  wire [7:0]  field     = total_4q[27] ? exponent_4q[7:0] : 8'd0;
  wire [30:0] rounded;
  adder #(.WIDTH(31), .ADDER(ADDER)) u_round (
    .enable(1'b1), .a({field, total_4q[26:4]}), .b({30'd0, round_up}), .sum(rounded)
  );
  wire        overflow  = total_4q[27] & (exponent_4q >= 9'd255);
  wire        nan_4     = kind_4q[4];
  wire        infinite_4 = kind_4q[3];

  assign sum = nan_4                    ? 32'h7fc00000 :
               infinite_4               ? {kind_4q[2], 8'hff, 23'd0} :
               is_zero_4q               ? {kind_4q[1], 31'd0} :
               overflow                 ? {kind_4q[0], 8'hff, 23'd0} :
                                          {kind_4q[0], rounded};

endmodule
