// Register that may be left out: q is d, one clock edge later if ENABLE is 1.
//
// Structure: flip-flops without reset, or wires.
// Latency:   one clock edge, or none.
// Why:       the number of stages of a pipeline becomes a parameter; what is in between needs no reset where
//            both ends have one.
module pipeline_register #(
  parameter WIDTH  = 8,
  parameter ENABLE = 1
) (
  input  wire             clk,
  input  wire [WIDTH-1:0] d,
  output wire [WIDTH-1:0] q
);

  generate
    if (ENABLE != 0) begin : gen_register
      reg [WIDTH-1:0] stage_q;
      always @(posedge clk) begin
        stage_q <= d;
      end
      assign q = stage_q;
    end else begin : gen_wire
      assign q = d;
      wire unused_clock = clk;
    end
  endgenerate

endmodule
