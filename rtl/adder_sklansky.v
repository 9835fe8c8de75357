// Sklansky (divide-and-conquer) parallel-prefix adder: sum = enable ? a + b : 0 (mod 2^WIDTH).
//
// Structure: log2(WIDTH) levels of (generate, propagate) operators; at level l the upper half of every
//            block of 2^l bits combines with the top bit of the block's lower half.
//            A prefix takes a | b for its propagate, as good as a ^ b there and a faster gate. Without generates
//            there are no carries: gating them and the last XOR's operand clears the sum.
// Latency:   combinational, ceil(log2(WIDTH)) prefix levels.
// Why:       as shallow as Kogge-Stone with half the operators; the fan-out of the block tops grows with
//            the level, which sizing and buffering have to pay for.
module adder_sklansky #(
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

  localparam N = 1 << LEVELS;  // whole blocks on every level

  genvar level, block;
  generate
    for (level = 0; level <= LEVELS; level = level + 1) begin : gen_level
      wire [N-1:0] g;
      wire [N-1:0] p;
      if (level == 0) begin : gen_input
        extend #(.IN_WIDTH(WIDTH), .OUT_WIDTH(N)) u_generate (.in(a & b & {WIDTH{enable}}), .fill(1'b0), .out(g));
        extend #(.IN_WIDTH(WIDTH), .OUT_WIDTH(N)) u_propagate (.in(a | b), .fill(1'b0), .out(p));
      end else begin : gen_operators
        localparam SPAN = 1 << (level - 1);
        // What the top bit of each lower half offers to the whole upper half.
        wire [N-1:0] g_below;
        wire [N-1:0] p_below;
        for (block = 0; block < N; block = block + 2 * SPAN) begin : gen_block
          assign g_below[block+:2*SPAN] = {{SPAN{gen_level[level-1].g[block+SPAN-1]}}, {SPAN{1'b0}}};
          assign p_below[block+:2*SPAN] = {{SPAN{gen_level[level-1].p[block+SPAN-1]}}, {SPAN{1'b1}}};
        end
        assign g = gen_level[level-1].g | (gen_level[level-1].p & g_below);
        assign p = gen_level[level-1].p & p_below;
      end
    end
  endgenerate

  // The propagates of complete prefixes have no reader, nor has what lies above the sum.
  wire unused_bits = ^{gen_level[LEVELS].g, gen_level[LEVELS].p};

  assign sum = ((a ^ b) & {WIDTH{enable}}) ^ (gen_level[LEVELS].g[WIDTH-1:0] << 1);

endmodule
