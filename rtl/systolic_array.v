// Weight-stationary systolic array: result = weights * vector, ROWS inputs to COLUMNS sums per cycle.
//
// Structure: ROWS x COLUMNS elements (pe.v). Activations run to the right, partial sums and waiting weights
//            down. Delay lines skew the inputs (row r by r cycles) and deskew the results, so that whole
//            vectors go in and come out. column_bias.v feeds the first row. With PIPELINE = "carry_save" or
//            "high_radix" one adder per column resolves the pair at its end.
// Latency:   activation_valid to result_valid ROWS + COLUMNS clock edges with "fused", two more with
//            "high_radix", one more with the others; one vector per cycle.
// Why:       the place of use of the MACs: here their period is the clock, and the correction of folded
//            ones costs an adder per column.
//
// Protocol: shift the ROWS weight rows of the next tile in, last row first (weight_shift high, weight_in one
//           weight per column); this may happen while vectors of the tile before are computed. Raise
//           weight_load together with the first vector of the new tile (or in any cycle before it). Wait
//           ROWS + COLUMNS cycles after weight_load before the next weight_shift.
//           Sums wrap modulo 2^ACCUMULATOR_WIDTH; tiles along the input are added outside.
module systolic_array #(
  parameter ROWS               = 4,
  parameter COLUMNS            = 4,
  parameter WEIGHT_WIDTH       = 8,
  parameter ACTIVATION_WIDTH   = 8,
  parameter ACCUMULATOR_WIDTH  = 24,
  parameter SIGNED             = 1,
  parameter [127:0] MULTIPLIER = "array",
  parameter [127:0] ADDER      = "kogge_stone",
  parameter [127:0] PIPELINE   = "two_stage",
  parameter [127:0] ROW_ORDER  = "low_first",
  parameter [127:0] RECODE     = "weight"
) (
  input  wire                                 clk,
  input  wire                                 rst_n,  // synchronous, clears every register
  input  wire                                 weight_shift,
  input  wire [COLUMNS*WEIGHT_WIDTH-1:0]      weight_in,      // column c is weight_in[c*WEIGHT_WIDTH +: …]
  input  wire                                 weight_load,
  input  wire                                 activation_valid,
  input  wire [ROWS*ACTIVATION_WIDTH-1:0]     activation_in,  // row r is activation_in[r*ACTIVATION_WIDTH +: …]
  output wire                                 result_valid,
  output wire [COLUMNS*ACCUMULATOR_WIDTH-1:0] result          // column c is result[c*ACCUMULATOR_WIDTH +: …]
);

  localparam W = WEIGHT_WIDTH;
  localparam A = ACTIVATION_WIDTH;
  localparam ACC = ACCUMULATOR_WIDTH;
  localparam HAS_CARRY = PIPELINE == "carry_save" || PIPELINE == "high_radix";
  localparam CARRY_WIDTH = HAS_CARRY ? ACC : 1;
  // From an element's activation_in to its psum_out, and from there to the resolved sum.
  localparam MAC_EDGES = (PIPELINE == "two_stage" || PIPELINE == "high_radix") ? 3 : 2;
  localparam END_EDGES = HAS_CARRY ? 1 : 0;
  localparam LATENCY = MAC_EDGES + (ROWS - 1) + (COLUMNS - 1) + END_EDGES;

  delay_line #(.WIDTH(1), .STAGES(LATENCY)) u_valid (
    .clk(clk), .rst_n(rst_n), .d(activation_valid), .q(result_valid)
  );

  genvar r, c;
  generate
    // The load order of column c's bias: it must count in the cycle in which the first row adds.
    for (c = 0; c < COLUMNS; c = c + 1) begin : gen_bias
      wire load;
      wire [ACC-1:0] bias;
      delay_line #(.WIDTH(1), .STAGES(c + MAC_EDGES - 2)) u_load (
        .clk(clk), .rst_n(rst_n), .d(weight_load), .q(load)
      );
      column_bias #(
        .WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .ACCUMULATOR_WIDTH(ACC), .SIGNED(SIGNED),
        .MULTIPLIER(MULTIPLIER)
      ) u_bias (
        .clk(clk), .rst_n(rst_n), .weight_shift(weight_shift), .weight_in(weight_in[c*W+:W]),
        .weight_out(gen_row[ROWS-1].gen_column[c].weight_out), .load(load), .bias(bias)
      );
    end

    for (r = 0; r < ROWS; r = r + 1) begin : gen_row
      wire row_load;
      wire [A-1:0] row_activation;
      delay_line #(.WIDTH(A + 1), .STAGES(r)) u_skew (
        .clk(clk), .rst_n(rst_n), .d({weight_load, activation_in[r*A+:A]}), .q({row_load, row_activation})
      );

      for (c = 0; c < COLUMNS; c = c + 1) begin : gen_column
        wire [W-1:0] weight_above;
        wire [W-1:0] weight_out;
        wire load_left;
        wire load_out;
        wire [A-1:0] activation_left;
        wire [A-1:0] activation_out;
        wire [ACC-1:0] psum_above;
        wire [ACC-1:0] psum_out;
        wire [CARRY_WIDTH-1:0] carry_above;
        wire [CARRY_WIDTH-1:0] carry_out;

        if (r == 0) begin : gen_top
          assign weight_above = weight_in[c*W+:W];
          assign psum_above = gen_bias[c].bias;
          assign carry_above = {CARRY_WIDTH{1'b0}};
        end else begin : gen_below
          assign weight_above = gen_row[r-1].gen_column[c].weight_out;
          assign psum_above = gen_row[r-1].gen_column[c].psum_out;
          assign carry_above = gen_row[r-1].gen_column[c].carry_out;
        end
        wire unused_at_the_edges = ^{load_out, activation_out, carry_out};
        if (c == 0) begin : gen_left
          assign load_left = row_load;
          assign activation_left = row_activation;
        end else begin : gen_right
          assign load_left = gen_column[c-1].load_out;
          assign activation_left = gen_column[c-1].activation_out;
        end

        pe #(
          .WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .ACCUMULATOR_WIDTH(ACC), .SIGNED(SIGNED),
          .MULTIPLIER(MULTIPLIER), .ADDER(ADDER), .PIPELINE(PIPELINE), .ROW_ORDER(ROW_ORDER), .RECODE(RECODE)
        ) u_pe (
          .clk(clk), .rst_n(rst_n), .weight_shift(weight_shift),
          .weight_in(weight_above), .weight_out(weight_out),
          .weight_load_in(load_left), .weight_load_out(load_out),
          .activation_in(activation_left), .activation_out(activation_out),
          .psum_in(psum_above), .psum_out(psum_out),
          .psum_carry_in(carry_above), .psum_carry_out(carry_out)
        );
      end
    end

    for (c = 0; c < COLUMNS; c = c + 1) begin : gen_end
      wire [ACC-1:0] total;
      if (HAS_CARRY) begin : gen_resolve
        wire [ACC-1:0] total_d;
        reg  [ACC-1:0] total_q;
        adder #(.WIDTH(ACC), .ADDER(ADDER)) u_resolve (
          .enable(1'b1), .a(gen_row[ROWS-1].gen_column[c].psum_out), .b(gen_row[ROWS-1].gen_column[c].carry_out),
          .sum(total_d)
        );
        always @(posedge clk) begin
          if (!rst_n) begin
            total_q <= {ACC{1'b0}};
          end else begin
            total_q <= total_d;
          end
        end
        assign total = total_q;
      end else begin : gen_resolved
        assign total = gen_row[ROWS-1].gen_column[c].psum_out;
      end
      delay_line #(.WIDTH(ACC), .STAGES(COLUMNS - 1 - c)) u_deskew (
        .clk(clk), .rst_n(rst_n), .d(total), .q(result[c*ACC+:ACC])
      );
    end
  endgenerate

endmodule
