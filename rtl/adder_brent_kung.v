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

  genvar level, i;
  generate
    for (level = 0; level <= SWEEPS; level = level + 1) begin : gen_level
      localparam UP = level <= LEVELS;
      localparam SPAN = span(level);
      wire [WIDTH-1:0] g;
      wire [WIDTH-1:0] p;
      for (i = 0; i < WIDTH; i = i + 1) begin : gen_bit
        if (level == 0) begin : gen_input
          assign g[i] = a[i] & b[i];
          assign p[i] = a[i] ^ b[i];
        end else if ((UP && (i + 1) % (2 * SPAN) == 0) ||
                     (!UP && i >= 2 * SPAN && (i + 1) % (2 * SPAN) == SPAN)) begin : gen_operator
          assign g[i] = gen_level[level-1].g[i] |
                        (gen_level[level-1].p[i] & gen_level[level-1].g[i-SPAN]);
          assign p[i] = gen_level[level-1].p[i] & gen_level[level-1].p[i-SPAN];
        end else begin : gen_pass
          assign g[i] = gen_level[level-1].g[i];
          assign p[i] = gen_level[level-1].p[i];
        end
      end
    end
  endgenerate

  assign sum = gen_level[0].p ^ (gen_level[SWEEPS].g << 1);

endmodule
