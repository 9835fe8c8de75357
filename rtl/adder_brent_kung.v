// Brent-Kung parallel-prefix adder: sum = a + b (mod 2^WIDTH).
//
// Structure: an up-sweep that forms the (generate, propagate) pairs of aligned blocks of 2, 4, 8, …
//            bits, and a down-sweep that fills in the prefixes between them.
// Latency:   combinational, 2 * ceil(log2(WIDTH)) - 1 prefix levels.
// Why:       the fewest operators of the prefix adders (about 2 * WIDTH) and a fan-out of two, at nearly
//            twice the depth: the middle way between ripple and Kogge-Stone.
module adder_brent_kung #(
  parameter WIDTH = 16
) (
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
  localparam SWEEPS = 2 * LEVELS;  // levels 1 … LEVELS go up, the others down

  // Distance between the two prefixes that an operator of a level combines.
  function integer span;
    input integer at_level;
    begin
      if (at_level == 0) span = 1;
      else if (at_level <= LEVELS) span = 1 << (at_level - 1);
      else span = 1 << (SWEEPS - at_level);
    end
  endfunction

  // Bits that have an operator on a level; the others pass on what they have.
  function [WIDTH-1:0] operators;
    input integer at_level;
    integer i;
    begin
      for (i = 0; i < WIDTH; i = i + 1) begin
        if (at_level <= LEVELS) operators[i] = (i + 1) % (2 * span(at_level)) == 0;
        else operators[i] = i >= 2 * span(at_level) && (i + 1) % (2 * span(at_level)) == span(at_level);
      end
    end
  endfunction

  genvar level;
  generate
    for (level = 0; level <= SWEEPS; level = level + 1) begin : gen_level
      wire [WIDTH-1:0] g;
      wire [WIDTH-1:0] p;
      if (level == 0) begin : gen_input
        assign g = a & b;
        assign p = a ^ b;
      end else begin : gen_operators
        localparam SPAN = span(level);
        localparam [WIDTH-1:0] MASK = operators(level);
        assign g = gen_level[level-1].g | (MASK & gen_level[level-1].p & (gen_level[level-1].g << SPAN));
        assign p = gen_level[level-1].p & (~MASK | (gen_level[level-1].p << SPAN));
      end
    end
  endgenerate

  // The propagates of complete prefixes have no reader.
  wire unused_propagates = ^gen_level[SWEEPS].p;

  assign sum = gen_level[0].p ^ (gen_level[SWEEPS].g << 1);

endmodule
