// Kogge-Stone parallel-prefix adder: sum = enable ? a + b : 0 (mod 2^WIDTH).
//
// Structure: log2(WIDTH) levels of (generate, propagate) operators; at level l every bit combines with
//            the bit 2^(l-1) below, so that each signal drives two operators only.
//            A prefix takes a | b for its propagate, as good as a ^ b there and a faster gate. Without generates
//            there are no carries: gating them and the last XOR's operand clears the sum.
// Latency:   combinational, ceil(log2(WIDTH)) prefix levels.
// Why:       the shallowest prefix graph with the least fan-out, paid for in area and wires.
module adder_kogge_stone #(
  parameter WIDTH = 16
) (
  input  wire             enable,
  input  wire [WIDTH-1:0] a,
  input  wire [WIDTH-1:0] b,
  output wire [WIDTH-1:0] sum
);

  // Number of bits needed to count from 0 to value - 1.
  function integer clog2;
    input integer value;
    begin
      clog2 = 0;
      while ((1 << clog2) < value) clog2 = clog2 + 1;
    end
  endfunction

  localparam LEVELS = clog2(WIDTH);

  genvar level;
  generate
    for (level = 0; level <= LEVELS; level = level + 1) begin : gen_level
      wire [WIDTH-1:0] g;
      wire [WIDTH-1:0] p;
      if (level == 0) begin : gen_input
        assign g = a & b & {WIDTH{enable}};
        assign p = a | b;
      end else begin : gen_operators
        // Zeros come in below bit 0: no carry enters, so a prefix that reaches bit 0 needs no propagate.
        assign g = gen_level[level-1].g | (gen_level[level-1].p & (gen_level[level-1].g << (1 << (level - 1))));
        assign p = gen_level[level-1].p & (gen_level[level-1].p << (1 << (level - 1)));
      end
    end
  endgenerate

  // The propagates of complete prefixes have no reader.
  wire unused_propagates = ^gen_level[LEVELS].p;

  assign sum = ((a ^ b) & {WIDTH{enable}}) ^ (gen_level[LEVELS].g << 1);

endmodule
