// Dadda-tree multiplier (Baugh-Wooley when signed).
//
// Structure: partial-product dots sorted by column; each stage brings the columns down to the next height
//            of Dadda's series 2, 3, 4, 6, 9, 13, 19 with as few full and half adders as possible; a final
//            adder over all columns.
// Latency:   combinational: AND gate, as many full adders as Wallace's tree, final adder.
// Why:       fewer adders than Wallace for the same depth, and a wider final addition. Like there, no row is
//            much closer to the product than another.
//
// Output: RESOLVE = 1: product on sum (two's complement when SIGNED), carry = 0.
//         RESOLVE = 0: sum + carry = product, plus 2^(W+A-1) when SIGNED, without overflow.
module mult_dadda #(
  parameter WEIGHT_WIDTH          = 8,
  parameter ACTIVATION_WIDTH      = 8,
  parameter SIGNED                = 1,
  parameter [127:0] ADDER         = "kogge_stone",
  parameter RESOLVE               = 1
) (
  input  wire [WEIGHT_WIDTH-1:0]                  weight,
  input  wire [ACTIVATION_WIDTH-1:0]              activation,
  output wire [WEIGHT_WIDTH+ACTIVATION_WIDTH-1:0] sum,
  output wire [WEIGHT_WIDTH+ACTIVATION_WIDTH-1:0] carry
);

  localparam W = WEIGHT_WIDTH;
  localparam A = ACTIVATION_WIDTH;
  localparam P = W + A;

  // Height that no column exceeds after the stages with this many more to come.
  function integer series;
    input integer remaining;
    integer k;
    begin
      series = 2;
      for (k = 0; k < remaining; k = k + 1) series = (3 * series) / 2;
    end
  endfunction

  // Rows of partial products that have a dot in a column: row i covers columns i … i+A-1.
  function integer partial_dots;
    input integer column;
    begin
      partial_dots = ((column < W) ? column : W - 1) - ((column < A) ? 0 : column - A + 1) + 1;
      if (partial_dots < 0) partial_dots = 0;
    end
  endfunction

  // Bits of the correction in a column, see baugh_wooley_rows.v (two equal bits are one of twice the weight).
  function integer correction_dots;
    input integer column;
    begin
      correction_dots = 0;
      if (SIGNED != 0 && W == A && column == W) correction_dots = 1;
      if (SIGNED != 0 && W != A && (column == W - 1 || column == A - 1)) correction_dots = 1;
    end
  endfunction

  // The highest column holds min(W, A) dots, and one of the correction where its two bits are apart.
  localparam HIGHEST = ((W < A) ? W : A) + ((SIGNED != 0 && W != A) ? 1 : 0);

  function integer stage_count;
    input integer highest;
    begin
      stage_count = 0;
      while (series(stage_count) < highest) stage_count = stage_count + 1;
    end
  endfunction

  localparam STAGES = stage_count(HIGHEST);

  // What the stages do, three bytes a column, columns of stage 0 first: dots before the stage; carries that
  // the column below sends into the next stage; surplus over the target height, which a full adder lowers by
  // two and a half adder by one.
  localparam PLAN_BITS = 24 * P * ((STAGES > 0) ? STAGES : 1);
  function [PLAN_BITS-1:0] make_plan;
    input integer first_column;
    integer stage_index, c, target, dots_here, carries, surplus;
    reg [8*P-1:0] heights;
    reg [7:0] height;
    begin
      make_plan = {PLAN_BITS{1'b0}};
      heights = {8 * P{1'b0}};
      for (c = first_column; c < P; c = c + 1) begin
        dots_here = partial_dots(c) + correction_dots(c);
        heights[8*c+:8] = dots_here[7:0];
      end
      for (stage_index = 0; stage_index < STAGES; stage_index = stage_index + 1) begin
        target = series(STAGES - 1 - stage_index);
        carries = 0;
        for (c = first_column; c < P; c = c + 1) begin
          height = heights[8*c+:8];
          dots_here = {24'd0, height} + carries;
          surplus = (dots_here > target) ? dots_here - target : 0;
          dots_here = dots_here - surplus;
          make_plan[24*(stage_index*P+c)+:24] = {surplus[7:0], carries[7:0], height};
          heights[8*c+:8] = dots_here[7:0];
          carries = (surplus + 1) / 2;
        end
      end
    end
  endfunction

  localparam [PLAN_BITS-1:0] PLAN = make_plan(0);

  wire [W*A-1:0] partial;
  baugh_wooley_rows #(.WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED)) u_rows (
    .weight(weight), .activation(activation), .rows(partial)
  );

  wire [P-1:0] tree_sum;
  wire [P-1:0] tree_carry;

  genvar stage, column, k;
  generate
    for (stage = 0; stage <= STAGES; stage = stage + 1) begin : gen_stage
      for (column = 0; column < P; column = column + 1) begin : gen_column
        if (stage == 0) begin : gen_dots
          localparam PARTIAL = partial_dots(column);
          localparam CORRECTION = correction_dots(column);
          localparam FIRST_ROW = (column < A) ? 0 : column - A + 1;
          localparam WIDTH = (PARTIAL + CORRECTION > 2) ? PARTIAL + CORRECTION : 2;
          wire [WIDTH-1:0] dots;
          wire unused_dots = ^dots;  // a column without dots keeps its width
          for (k = 0; k < WIDTH; k = k + 1) begin : gen_dot
            if (k < PARTIAL) begin : gen_partial
              assign dots[k] = partial[(FIRST_ROW+k)*A+column-FIRST_ROW-k];
            end else begin : gen_correction
              assign dots[k] = (k < PARTIAL + CORRECTION);
            end
          end
        end else begin : gen_dots
          localparam ENTRY = 24 * ((stage - 1) * P + column);
          localparam BEFORE = PLAN[ENTRY+:8];
          localparam CARRIES = PLAN[ENTRY+8+:8];
          localparam SURPLUS = PLAN[ENTRY+16+:8];
          localparam FULL = SURPLUS / 2;
          localparam HALF = SURPLUS % 2;
          localparam PASSED = BEFORE - 3 * FULL - 2 * HALF;
          localparam COUNT = PASSED + FULL + HALF + CARRIES;
          localparam WIDTH = (COUNT > 2) ? COUNT : 2;
          // Full adders take the first dots, then a half adder; new dots are in the order of what is passed
          // on, sums, and the carries of the column below.
          wire [WIDTH-1:0] dots;
          wire unused_dots = ^dots;  // a column without dots keeps its width
          if (FULL > 0) begin : gen_full
            wire [FULL-1:0] x = gen_stage[stage-1].gen_column[column].gen_dots.dots[0+:FULL];
            wire [FULL-1:0] y = gen_stage[stage-1].gen_column[column].gen_dots.dots[FULL+:FULL];
            wire [FULL-1:0] z = gen_stage[stage-1].gen_column[column].gen_dots.dots[2*FULL+:FULL];
            wire [FULL-1:0] carry_out = (x & y) | (z & (x ^ y));
            assign dots[PASSED+:FULL] = x ^ y ^ z;
          end
          if (HALF > 0) begin : gen_half
            wire x = gen_stage[stage-1].gen_column[column].gen_dots.dots[3*FULL];
            wire y = gen_stage[stage-1].gen_column[column].gen_dots.dots[3*FULL+1];
            wire carry_out = x & y;
            assign dots[PASSED+FULL] = x ^ y;
          end
          if (PASSED > 0) begin : gen_passed
            assign dots[0+:PASSED] = gen_stage[stage-1].gen_column[column].gen_dots.dots[BEFORE-1-:PASSED];
          end
          for (k = 0; k < CARRIES; k = k + 1) begin : gen_carry
            // The column below has as many adders as it sends carries; its half adder's is the last.
            localparam BELOW_SURPLUS = PLAN[ENTRY-24+16+:8];
            if (k < BELOW_SURPLUS / 2) begin : gen_of_full
              assign dots[COUNT-CARRIES+k] = gen_column[column-1].gen_dots.gen_full.carry_out[k];
            end else begin : gen_of_half
              assign dots[COUNT-CARRIES+k] = gen_column[column-1].gen_dots.gen_half.carry_out;
            end
          end
          if (COUNT < WIDTH) begin : gen_empty
            assign dots[WIDTH-1:COUNT] = {(WIDTH - COUNT) {1'b0}};
          end
        end
        if (stage == STAGES) begin : gen_last
          assign tree_sum[column] = gen_dots.dots[0];
          assign tree_carry[column] = gen_dots.dots[1];
        end
      end
    end
  endgenerate

  resolve_pair #(.WIDTH(P), .ADDER(ADDER), .RESOLVE(RESOLVE), .OFFSET(SIGNED)) u_resolve (
    .in_sum(tree_sum), .in_carry(tree_carry), .sum(sum), .carry(carry)
  );

endmodule
