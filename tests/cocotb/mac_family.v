// A range of multipliers, adders and pipelines, all combinations side by side on the same inputs.
//
// A sweep holds one weight and runs through activations with pseudo-random partial sums: through all of them, or
// with SWEEP_BITS = 6 through 32 values in even steps, each followed by its complement. Each MAC is held
// against a behavioural product at every clock; the first operands that differ are kept. MACs are numbered in the
// order of the names, pipelines fastest.
module mac_family #(
  parameter WEIGHT_WIDTH      = 8,
  parameter ACTIVATION_WIDTH  = 8,
  parameter ACCUMULATOR_WIDTH = 24,
  parameter SIGNED            = 1,
  parameter SWEEP_BITS        = ACTIVATION_WIDTH,
  parameter FIRST_MULTIPLIER  = 0,
  parameter MULTIPLIERS       = 9,
  parameter FIRST_ADDER       = 0,
  parameter ADDERS            = 4,
  parameter FIRST_PIPELINE    = 0,
  parameter PIPELINES         = 4,
  // Derived, not to be set.
  parameter COUNT             = MULTIPLIERS * ADDERS * PIPELINES
) (
  input  wire                              clk,
  input  wire                              rst_n,
  input  wire                              start,     // begins a sweep
  input  wire [WEIGHT_WIDTH-1:0]           weight,
  input  wire [ACCUMULATOR_WIDTH-1:0]      constant,  // that folded multipliers leave out for this weight
  output reg                               busy,
  output reg  [COUNT-1:0]                  failed,
  output reg  [COUNT*WEIGHT_WIDTH-1:0]     failed_weight,
  output reg  [COUNT*ACTIVATION_WIDTH-1:0] failed_activation
);

  localparam W = WEIGHT_WIDTH;
  localparam A = ACTIVATION_WIDTH;
  localparam ACC = ACCUMULATOR_WIDTH;
  // With complements in between, the next value of a short sweep.
  localparam [A-1:0] ONE = 1;
  localparam [A-1:0] STEP = (A > 5) ? ONE << (A - 5) : ONE;

  function [127:0] multiplier_name;
    input integer index;
    begin
      case (index)
        0: multiplier_name = "array";
        1: multiplier_name = "wallace";
        2: multiplier_name = "dadda";
        3: multiplier_name = "booth";
        4: multiplier_name = "booth_stored";
        5: multiplier_name = "split";
        6: multiplier_name = "sign_magnitude";
        7: multiplier_name = "one_digit";
        default: multiplier_name = "two_row";
      endcase
    end
  endfunction

  function [127:0] adder_name;
    input integer index;
    begin
      case (index)
        0: adder_name = "kogge_stone";
        1: adder_name = "brent_kung";
        2: adder_name = "sklansky";
        default: adder_name = "ripple";
      endcase
    end
  endfunction

  function [127:0] pipeline_name;
    input integer index;
    begin
      case (index)
        0: pipeline_name = "two_stage";
        1: pipeline_name = "fused";
        2: pipeline_name = "carry_save";
        default: pipeline_name = "high_radix";
      endcase
    end
  endfunction

  // The sweep, and three cycles more for the last product to arrive.
  localparam S = SWEEP_BITS;
  reg  [S:0]     count;
  reg  [A-1:0]   activation;
  reg  [ACC-1:0] psum;
  reg  [1:0]     drain;
  reg  [31:0]    noise;
  wire [63:0]    psum_noise = {2{noise}} >> 5;
  wire           load = busy && count == 0;

  always @(negedge clk) begin
    if (!rst_n) begin
      busy <= 1'b0;
      count <= {(S + 1) {1'b0}};
      drain <= 2'd0;
      noise <= 32'd1;
      activation <= {A{1'b0}};
      psum <= {ACC{1'b0}};
    end else if (start && !busy) begin
      busy <= 1'b1;
      count <= {(S + 1) {1'b0}};
      activation <= {A{1'b0}};
      drain <= 2'd0;
    end else if (busy) begin
      if (!count[S]) begin
        count <= count + 1;
      end else if (drain == 2'd3) begin
        busy <= 1'b0;
      end else begin
        drain <= drain + 1;
      end
      activation <= (S == A) ? activation + 1 : count[0] ? ~activation + STEP : ~activation;
      noise <= {noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]};
      psum <= psum_noise[ACC-1:0];
    end
  end

  // The product of the inputs, one and two clock edges later, plain and folded.
  wire signed [W:0] weight_value = {(SIGNED != 0) & weight[W-1], weight};
  wire signed [A:0] activation_value = {(SIGNED != 0) & activation[A-1], activation};
  wire signed [63:0] product = weight_value * activation_value;
  wire unused_bits = ^{product, psum_noise};
  reg [ACC-1:0] plain_1, plain_2, folded_1, folded_2;
  reg [ACC-1:0] plain_early, plain_late, folded_early, folded_late;
  reg [A-1:0] activation_1, activation_2, activation_3;
  reg valid_1, valid_2, valid_3;

  always @(posedge clk) begin
    plain_1 <= product[ACC-1:0];
    plain_2 <= plain_1;
    folded_1 <= product[ACC-1:0] - constant;
    folded_2 <= folded_1;
    plain_early <= psum + plain_1;
    plain_late <= psum + plain_2;
    folded_early <= psum + folded_1;
    folded_late <= psum + folded_2;
    activation_1 <= activation;
    activation_2 <= activation_1;
    activation_3 <= activation_2;
    valid_1 <= busy && !count[S];
    valid_2 <= valid_1;
    valid_3 <= valid_2;
  end

  genvar m, a, p;
  generate
    for (m = FIRST_MULTIPLIER; m < FIRST_MULTIPLIER + MULTIPLIERS; m = m + 1) begin : gen_multiplier
      for (a = FIRST_ADDER; a < FIRST_ADDER + ADDERS; a = a + 1) begin : gen_adder
        for (p = FIRST_PIPELINE; p < FIRST_PIPELINE + PIPELINES; p = p + 1) begin : gen_pipeline
          localparam N = ((m - FIRST_MULTIPLIER) * ADDERS + a - FIRST_ADDER) * PIPELINES + p - FIRST_PIPELINE;
          localparam FOLDED = m == 4 || m == 5 || m >= 7;
          localparam HAS_CARRY = p >= 2;
          localparam HAS_PRODUCT = p == 0 || p == 3;
          localparam CARRY_WIDTH = HAS_CARRY ? ACC : 1;
          wire [A-1:0] unused_activation;
          wire [ACC-1:0] psum_out;
          wire [CARRY_WIDTH-1:0] carry_out;
          wire [ACC-1:0] found = HAS_CARRY ? psum_out + carry_out : psum_out;
          wire [ACC-1:0] expected = HAS_PRODUCT ? (FOLDED ? folded_late : plain_late) :
                                               (FOLDED ? folded_early : plain_early);
          wire checked = HAS_PRODUCT ? valid_3 : valid_2;
          wire [A-1:0] operand = HAS_PRODUCT ? activation_3 : activation_2;

          mac #(
            .WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .ACCUMULATOR_WIDTH(ACC), .SIGNED(SIGNED),
            .MULTIPLIER(multiplier_name(m)), .ADDER(adder_name(a)), .PIPELINE(pipeline_name(p))
          ) u_mac (
            .clk(clk), .rst_n(rst_n), .weight_load(load), .weight_in(weight),
            .activation_in(activation), .activation_out(unused_activation),
            .psum_in(psum), .psum_out(psum_out),
            .psum_carry_in({CARRY_WIDTH{1'b0}}), .psum_carry_out(carry_out)
          );

          always @(negedge clk) begin
            if (!rst_n) begin
              failed[N] <= 1'b0;
            end else if (checked && found !== expected && !failed[N]) begin
              failed[N] <= 1'b1;
              failed_weight[N*W+:W] <= weight;
              failed_activation[N*A+:A] <= operand;
            end
          end
        end
      end
    end
  endgenerate

endmodule
