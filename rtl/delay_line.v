// Shift register: q is d, STAGES clock edges later.
//
// Structure: STAGES registers in a row; wires when STAGES is 0.
// Latency:   STAGES clock edges.
// Why:       the triangles of registers that skew the operands of a systolic array, and deskew its results.
module delay_line #(
  parameter WIDTH  = 8,
  parameter STAGES = 1
) (
  input  wire             clk,
  input  wire             rst_n,  // synchronous, clears every register
  input  wire [WIDTH-1:0] d,
  output wire [WIDTH-1:0] q
);

  genvar i;
  generate
    for (i = 0; i < STAGES; i = i + 1) begin : gen_stage
      reg [WIDTH-1:0] stage_q;
      wire [WIDTH-1:0] stage_d;
      if (i == 0) begin : gen_first
        assign stage_d = d;
      end else begin : gen_next
        assign stage_d = gen_stage[i-1].stage_q;
      end
      always @(posedge clk) begin
        if (!rst_n) begin
          stage_q <= {WIDTH{1'b0}};
        end else begin
          stage_q <= stage_d;
        end
      end
    end
    if (STAGES == 0) begin : gen_wire
      assign q = d;
      wire unused_clock = clk & rst_n;
    end else begin : gen_last
      assign q = gen_stage[STAGES-1].stage_q;
    end
  endgenerate

endmodule
