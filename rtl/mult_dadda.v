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

  function integer stage_count;
    input integer unused_argument;
    integer column, highest;
    begin
      highest = unused_argument;
      for (column = 0; column < P; column = column + 1) begin
        if (partial_dots(column) + correction_dots(column) > highest) begin
          highest = partial_dots(column) + correction_dots(column);
        end
      end
      stage_count = 0;
      while (series(stage_count) < highest) stage_count = stage_count + 1;
    end
  endfunction

  localparam STAGES = stage_count(0);
  localparam HEIGHT = series(STAGES);  // no column is ever higher

  // What a stage does to a column. which = 0: dots before the stage, 1: carries that the column below sends
  // into the next stage, 2: surplus over the target height, which full adders lower by two, half adders by one.
  function integer plan;
    input integer stage;
    input integer column;
    input integer which;
    integer s, c, carries, surplus, next_carries;
    reg [8*P-1:0] height;
    begin
      for (c = 0; c < P; c = c + 1) height[8*c+:8] = partial_dots(c) + correction_dots(c);
      plan = 0;
      for (s = 0; s <= stage; s = s + 1) begin
        carries = 0;
        for (c = 0; c < P; c = c + 1) begin
          surplus = height[8*c+:8] + carries - series(STAGES - 1 - s);
          if (surplus < 0) surplus = 0;
          if (s == stage && c == column) plan = (which == 0) ? height[8*c+:8] : (which == 1) ? carries : surplus;
          next_carries = (surplus + 1) / 2;
          height[8*c+:8] = height[8*c+:8] + carries - surplus;
          carries = next_carries;
        end
      end
    end
  endfunction

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
        wire [HEIGHT-1:0] dots;
        if (stage == 0) begin : gen_input
          localparam DOTS = partial_dots(column);
          localparam FIRST_ROW = (column < A) ? 0 : column - A + 1;
          for (k = 0; k < HEIGHT; k = k + 1) begin : gen_dot
            if (k < DOTS) begin : gen_partial
              assign dots[k] = partial[(FIRST_ROW+k)*A+column-FIRST_ROW-k];
            end else begin : gen_correction
              assign dots[k] = (k < DOTS + correction_dots(column));
            end
          end
        end else begin : gen_reduce
          localparam BEFORE = plan(stage - 1, column, 0);
          localparam CARRIES = plan(stage - 1, column, 1);
          localparam SURPLUS = plan(stage - 1, column, 2);
          localparam FULL = SURPLUS / 2;
          localparam ADDERS = FULL + SURPLUS % 2;
          localparam PASSED = BEFORE - 2 * ADDERS - FULL;
          wire [HEIGHT-1:0] from = gen_stage[stage-1].gen_column[column].dots;
          wire [HEIGHT-1:0] carry_out;
          // Order of the new dots: passed on, sums, carries of the column below.
          for (k = 0; k < HEIGHT; k = k + 1) begin : gen_dot
            if (k < PASSED) begin : gen_pass
              assign dots[k] = from[BEFORE-PASSED+k];
            end else if (k < PASSED + FULL) begin : gen_full
              assign dots[k] = from[3*(k-PASSED)] ^ from[3*(k-PASSED)+1] ^ from[3*(k-PASSED)+2];
            end else if (k < PASSED + ADDERS) begin : gen_half
              assign dots[k] = from[3*FULL] ^ from[3*FULL+1];
            end else if (k < PASSED + ADDERS + CARRIES) begin : gen_carry
              assign dots[k] = gen_column[column-1].gen_reduce.carry_out[k-PASSED-ADDERS];
            end else begin : gen_none
              assign dots[k] = 1'b0;
            end
            if (k < FULL) begin : gen_carry_of_full
              assign carry_out[k] = (from[3*k] & from[3*k+1]) | (from[3*k+2] & (from[3*k] ^ from[3*k+1]));
            end else if (k < ADDERS) begin : gen_carry_of_half
              assign carry_out[k] = from[3*FULL] & from[3*FULL+1];
            end else begin : gen_no_carry
              assign carry_out[k] = 1'b0;
            end
          end
        end
        if (stage == STAGES) begin : gen_last
          assign tree_sum[column] = dots[0];
          assign tree_carry[column] = dots[1];
        end
      end
    end
  endgenerate

  resolve_pair #(.WIDTH(P), .ADDER(ADDER), .RESOLVE(RESOLVE), .OFFSET(SIGNED)) u_resolve (
    .in_sum(tree_sum), .in_carry(tree_carry), .sum(sum), .carry(carry)
  );

endmodule
