// Number of zeros in front of the first 1; WIDTH for 0.
//
// Structure: halves, each counted by itself; the left one decides where it has a 1.
// Latency:   combinational, logarithmic.
// Why:       a chain of choices, as a loop would give, is as deep as the word is wide.
module leading_zeros #(
  parameter WIDTH       = 28,
  parameter COUNT_WIDTH = 5   // enough for WIDTH
) (
  input  wire [WIDTH-1:0]       value,
  output wire [COUNT_WIDTH-1:0] count
);

  // Padded with ones on the right, so that the count of 0 is WIDTH and every level has two equal halves.
  localparam PADDED = 1 << COUNT_WIDTH;
  wire [PADDED-1:0] padded = {value, {(PADDED - WIDTH) {1'b1}}};

  genvar level, part;
  generate
    for (level = 1; level <= COUNT_WIDTH; level = level + 1) begin : gen_level
      // Each part of 2^level bits: whether all are 0, and the zeros in front where not.
      wire [(PADDED>>level)-1:0]       is_zero;
      wire [(PADDED>>level)*level-1:0] zeros;
      for (part = 0; part < (PADDED >> level); part = part + 1) begin : gen_part
        if (level == 1) begin : gen_pair
          assign is_zero[part] = ~(padded[2*part+1] | padded[2*part]);
          assign zeros[part]   = ~padded[2*part+1];
        end else begin : gen_join
          localparam W = level - 1;
          wire left_is_zero = gen_level[W].is_zero[2*part+1];
          assign is_zero[part] = left_is_zero & gen_level[W].is_zero[2*part];
          assign zeros[part*level+:level] = {
            left_is_zero,
            left_is_zero ? gen_level[W].zeros[2*part*W+:W] : gen_level[W].zeros[(2*part+1)*W+:W]
          };
        end
      end
    end
  endgenerate

  assign count = gen_level[COUNT_WIDTH].zeros;
  wire unused_all_zero = gen_level[COUNT_WIDTH].is_zero;

endmodule
