// Partial products of a W x A multiplication, one row per weight bit, all dots positive.
//
// Structure: an AND gate per dot; when SIGNED, the dots that combine one sign bit with another bit are NANDs.
// Latency:   combinational, one gate.
// Why:       Baugh and Wooley's form has no sign extension: with CORRECTION = 2^(W-1) + 2^(A-1) added to
//            the rows, their sum is product + 2^(W+A-1) and never overflows W + A bits. Unsigned rows need
//            neither.
module baugh_wooley_rows #(
  parameter WEIGHT_WIDTH     = 8,
  parameter ACTIVATION_WIDTH = 8,
  parameter SIGNED           = 1
) (
  input  wire [WEIGHT_WIDTH-1:0]                  weight,
  input  wire [ACTIVATION_WIDTH-1:0]              activation,
  output wire [WEIGHT_WIDTH*ACTIVATION_WIDTH-1:0] rows  // row i, weighing 2^i, is rows[i*A +: A]
);

  localparam W = WEIGHT_WIDTH;
  localparam A = ACTIVATION_WIDTH;

  // Dots of the activation's sign bit, and of its other bits.
  localparam [A-1:0] ONE = 1;
  localparam [A-1:0] SIGN_DOT = (SIGNED != 0) ? ONE << (A - 1) : {A{1'b0}};
  localparam [A-1:0] OTHER_DOTS = (SIGNED != 0) ? ~(ONE << (A - 1)) : {A{1'b0}};

  genvar i;
  generate
    for (i = 0; i < W; i = i + 1) begin : gen_row
      assign rows[i*A+:A] = (activation & {A{weight[i]}}) ^ ((i == W - 1) ? OTHER_DOTS : SIGN_DOT);
    end
  endgenerate

endmodule
