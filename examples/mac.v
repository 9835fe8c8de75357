// A MAC as a user of halo-timing may have it: the multiplier is left to the synthesis tool.
//
// Structure: weight register with load enable, activation register, product register, sum register.
// Latency:   activation to sum_out 3 clock edges, sum_in to sum_out 1.
module my_mac #(
  parameter WIDTH = 8
) (
  input  wire                      clk,
  input  wire                      load,
  input  wire signed [WIDTH-1:0]   weight,
  input  wire signed [WIDTH-1:0]   activation,
  input  wire signed [3*WIDTH-1:0] sum_in,
  output reg  signed [3*WIDTH-1:0] sum_out
);

  reg signed [WIDTH-1:0]   weight_q;
  reg signed [WIDTH-1:0]   activation_q;
  reg signed [2*WIDTH-1:0] product_q;

  always @(posedge clk) begin
    if (load) begin
      weight_q <= weight;
    end
    activation_q <= activation;
    product_q <= weight_q * activation_q;
    sum_out <= sum_in + product_q;
  end

endmodule
