// Bias of one column of a systolic array: the sum of what its folded multipliers leave out.
//
// Structure: a running sum of fold_constant over the weights in the column's chain (added as a weight enters
//            the chain, subtracted as it leaves), copied to the register that feeds the column when the
//            weights in the chain are taken over. Without folding there is nothing to sum.
// Latency:   the bias counts from the edge after load on.
// Why:       one correction per column and tile replaces sign and correction logic in every element.
module column_bias #(
  parameter WEIGHT_WIDTH       = 8,
  parameter ACTIVATION_WIDTH   = 8,
  parameter ACCUMULATOR_WIDTH  = 24,
  parameter SIGNED             = 1,
  parameter [127:0] MULTIPLIER = "array"
) (
  input  wire                         clk,
  input  wire                         rst_n,  // synchronous, clears every register
  input  wire                         weight_shift,
  input  wire [WEIGHT_WIDTH-1:0]      weight_in,   // enters the chain on weight_shift
  input  wire [WEIGHT_WIDTH-1:0]      weight_out,  // leaves the chain on weight_shift
  input  wire                         load,
  output wire [ACCUMULATOR_WIDTH-1:0] bias
);

  wire [ACCUMULATOR_WIDTH-1:0] constant_in;
  wire [ACCUMULATOR_WIDTH-1:0] constant_out;
  fold_constant #(
    .WEIGHT_WIDTH(WEIGHT_WIDTH), .ACTIVATION_WIDTH(ACTIVATION_WIDTH), .ACCUMULATOR_WIDTH(ACCUMULATOR_WIDTH),
    .SIGNED(SIGNED), .MULTIPLIER(MULTIPLIER)
  ) u_constant_in (
    .weight(weight_in), .constant(constant_in)
  );
  fold_constant #(
    .WEIGHT_WIDTH(WEIGHT_WIDTH), .ACTIVATION_WIDTH(ACTIVATION_WIDTH), .ACCUMULATOR_WIDTH(ACCUMULATOR_WIDTH),
    .SIGNED(SIGNED), .MULTIPLIER(MULTIPLIER)
  ) u_constant_out (
    .weight(weight_out), .constant(constant_out)
  );

  reg [ACCUMULATOR_WIDTH-1:0] waiting_q;
  reg [ACCUMULATOR_WIDTH-1:0] bias_q;

  always @(posedge clk) begin
    if (!rst_n) begin
      waiting_q <= {ACCUMULATOR_WIDTH{1'b0}};
    end else if (weight_shift) begin
      waiting_q <= waiting_q + constant_in - constant_out;
    end
  end

  always @(posedge clk) begin
    if (!rst_n) begin
      bias_q <= {ACCUMULATOR_WIDTH{1'b0}};
    end else if (load) begin
      bias_q <= waiting_q;
    end
  end

  assign bias = bias_q;

endmodule
