// Kogge-Stone parallel-prefix adder: sum = a + b (mod 2^WIDTH).
//
// Structure: log2(WIDTH) levels of (generate, propagate) operators; at level l every bit combines with
//            the bit 2^(l-1) below, so that each signal drives two operators only.
// Latency:   combinational, ceil(log2(WIDTH)) prefix levels.
// Why:       the shallowest prefix graph with the least fan-out, paid for in area and wires.
module adder_kogge_stone #(
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

  genvar level, i;
  generate
    for (level = 0; level <= LEVELS; level = level + 1) begin : gen_level
      wire [WIDTH-1:0] g;
      wire [WIDTH-1:0] p;
      for (i = 0; i < WIDTH; i = i + 1) begin : gen_bit
        if (level == 0) begin : gen_input
          assign g[i] = a[i] & b[i];
          assign p[i] = a[i] ^ b[i];
        end else if (i >= (1 << (level - 1))) begin : gen_operator
          assign g[i] = gen_level[level-1].g[i] |
                        (gen_level[level-1].p[i] & gen_level[level-1].g[i-(1<<(level-1))]);
          assign p[i] = gen_level[level-1].p[i] & gen_level[level-1].p[i-(1<<(level-1))];
        end else begin : gen_pass
          assign g[i] = gen_level[level-1].g[i];
          assign p[i] = gen_level[level-1].p[i];
        end
      end
    end
  endgenerate

  assign sum = gen_level[0].p ^ (gen_level[LEVELS].g << 1);

endmodule
