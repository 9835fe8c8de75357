// Brings a vector to another width: higher bits are cut off, missing ones are copies of fill.
//
// Structure: wires.
// Latency:   none.
// Why:       products may be wider or narrower than the accumulator; sums wrap either way.
module extend #(
  parameter IN_WIDTH  = 16,
  parameter OUT_WIDTH = 24
) (
  input  wire [IN_WIDTH-1:0]  in,
  input  wire                 fill,
  output wire [OUT_WIDTH-1:0] out
);

  generate
    if (OUT_WIDTH > IN_WIDTH) begin : gen_extend
      assign out = {{(OUT_WIDTH - IN_WIDTH) {fill}}, in};
    end else begin : gen_cut
      assign out = in[OUT_WIDTH-1:0];
      wire unused_bits = fill ^ (^in);
    end
  endgenerate

endmodule
