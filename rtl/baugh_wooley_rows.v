// Partial products of a W x A multiplication, one row per weight bit, all dots positive.
//
// Structure: an AND gate per dot; when SIGNED, the dots of exactly one sign bit are NANDs.
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

  genvar i, j;
  generate
    for (i = 0; i < W; i = i + 1) begin : gen_row
      for (j = 0; j < A; j = j + 1) begin : gen_dot
        if (SIGNED != 0 && (i == W - 1) != (j == A - 1)) begin : gen_inverted
          assign rows[i*A+j] = ~(weight[i] & activation[j]);
        end else begin : gen_plain
          assign rows[i*A+j] = weight[i] & activation[j];
        end
      end
    end
  endgenerate

endmodule
