// Carry-save tree: sum + carry = the sum of ROWS vectors (mod 2^WIDTH).
//
// Structure: Wallace's reduction of whole rows: each level turns every group of three rows into a sum row
//            and a carry row of full adders; rows left over pass to the next level.
// Latency:   combinational, about log1.5(ROWS / 2) full adders.
// Why:       groups are taken from row 0 upwards, so the rows left over, which meet the fewest adders, are
//            the last ones. Callers put there what must be fast. Constant zeros of shifted rows turn full
//            adders into half adders or wires in synthesis.
module csa_tree #(
  parameter ROWS  = 4,
  parameter WIDTH = 16
) (
  input  wire [ROWS*WIDTH-1:0] rows,  // row r is rows[r*WIDTH +: WIDTH]
  output wire [WIDTH-1:0]      sum,
  output wire [WIDTH-1:0]      carry
);

  // Rows that are left after a number of levels.
  function integer rows_after;
    input integer levels;
    integer k;
    begin
      rows_after = ROWS;
      for (k = 0; k < levels; k = k + 1) rows_after = 2 * (rows_after / 3) + rows_after % 3;
    end
  endfunction

  // Levels until two rows (or the only one) are left.
  function integer depth;
    input integer unused_argument;
    begin
      depth = unused_argument;
      while (rows_after(depth) > 2) depth = depth + 1;
    end
  endfunction

  localparam LEVELS = depth(0);

  genvar level, r;
  generate
    for (level = 0; level <= LEVELS; level = level + 1) begin : gen_level
      localparam COUNT = rows_after(level);
      wire [COUNT*WIDTH-1:0] row;
      if (level == 0) begin : gen_input
        assign row = rows;
      end else begin : gen_reduce
        localparam BEFORE = rows_after(level - 1);
        localparam GROUPS = BEFORE / 3;
        for (r = 0; r < GROUPS; r = r + 1) begin : gen_group
          wire [WIDTH-1:0] x = gen_level[level-1].row[3*r*WIDTH+:WIDTH];
          wire [WIDTH-1:0] y = gen_level[level-1].row[(3*r+1)*WIDTH+:WIDTH];
          wire [WIDTH-1:0] z = gen_level[level-1].row[(3*r+2)*WIDTH+:WIDTH];
          assign row[2*r*WIDTH+:WIDTH]     = x ^ y ^ z;
          assign row[(2*r+1)*WIDTH+:WIDTH] = ((x & y) | (z & (x ^ y))) << 1;
        end
        for (r = 3 * GROUPS; r < BEFORE; r = r + 1) begin : gen_pass
          assign row[(r-GROUPS)*WIDTH+:WIDTH] = gen_level[level-1].row[r*WIDTH+:WIDTH];
        end
      end
    end

    assign sum = gen_level[LEVELS].row[WIDTH-1:0];
    if (ROWS > 1) begin : gen_two
      assign carry = gen_level[LEVELS].row[WIDTH+:WIDTH];
    end else begin : gen_one
      assign carry = {WIDTH{1'b0}};
    end
  endgenerate

endmodule
