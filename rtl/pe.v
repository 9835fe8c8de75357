// Processing element of the weight-stationary systolic array: a MAC with a second weight register.
//
// Structure: mac.v; a weight register in a chain that shifts down the column while the MAC still works with
//            the weights before; a flip-flop that passes the load order on with the activation.
// Latency:   activation, load order and shifted weight one clock edge to the neighbour; sums as in mac.v.
// Why:       the next tile's weights come in while this one computes, and each element changes over in the
//            very cycle in which the first activation of the new tile reaches it.
module pe #(
  parameter WEIGHT_WIDTH       = 8,
  parameter ACTIVATION_WIDTH   = 8,
  parameter ACCUMULATOR_WIDTH  = 24,
  parameter SIGNED             = 1,
  parameter [127:0] MULTIPLIER = "array",
  parameter [127:0] ADDER      = "kogge_stone",
  parameter [127:0] PIPELINE   = "two_stage",
  parameter [127:0] ROW_ORDER  = "low_first",
  parameter [127:0] RECODE     = "weight",
  // Derived, not to be set, see mac.v.
  parameter CARRY_WIDTH        = (PIPELINE == "carry_save" || PIPELINE == "high_radix") ? ACCUMULATOR_WIDTH : 1
) (
  input  wire                         clk,
  input  wire                         rst_n,  // synchronous, clears every register
  input  wire                         weight_shift,     // moves the chain of waiting weights by one
  input  wire [WEIGHT_WIDTH-1:0]      weight_in,
  output wire [WEIGHT_WIDTH-1:0]      weight_out,
  input  wire                         weight_load_in,   // comes with the first activation of a new tile
  output wire                         weight_load_out,
  input  wire [ACTIVATION_WIDTH-1:0]  activation_in,
  output wire [ACTIVATION_WIDTH-1:0]  activation_out,
  input  wire [ACCUMULATOR_WIDTH-1:0] psum_in,
  output wire [ACCUMULATOR_WIDTH-1:0] psum_out,
  input  wire [CARRY_WIDTH-1:0]       psum_carry_in,
  output wire [CARRY_WIDTH-1:0]       psum_carry_out
);

  reg [WEIGHT_WIDTH-1:0] waiting_weight_q;
  reg                    weight_load_q;

  always @(posedge clk) begin
    if (!rst_n) begin
      waiting_weight_q <= {WEIGHT_WIDTH{1'b0}};
    end else if (weight_shift) begin
      waiting_weight_q <= weight_in;
    end
  end

  always @(posedge clk) begin
    if (!rst_n) begin
      weight_load_q <= 1'b0;
    end else begin
      weight_load_q <= weight_load_in;
    end
  end

  assign weight_out = waiting_weight_q;
  assign weight_load_out = weight_load_q;

  mac #(
    .WEIGHT_WIDTH(WEIGHT_WIDTH), .ACTIVATION_WIDTH(ACTIVATION_WIDTH), .ACCUMULATOR_WIDTH(ACCUMULATOR_WIDTH),
    .SIGNED(SIGNED), .MULTIPLIER(MULTIPLIER), .ADDER(ADDER), .PIPELINE(PIPELINE), .ROW_ORDER(ROW_ORDER),
    .RECODE(RECODE)
  ) u_mac (
    .clk(clk), .rst_n(rst_n),
    .weight_load(weight_load_in), .weight_in(waiting_weight_q),
    .activation_in(activation_in), .activation_out(activation_out),
    .psum_in(psum_in), .psum_out(psum_out),
    .psum_carry_in(psum_carry_in), .psum_carry_out(psum_carry_out)
  );

endmodule
