// Wallace-tree multiplier (Baugh-Wooley when signed).
//
// Structure: partial-product rows, one per weight bit, a tree of carry-save adders over whole rows, and a
//            final adder over all columns.
// Latency:   combinational: AND gate, about log1.5(WEIGHT_WIDTH / 2) full adders, final adder.
// Why:       the conventional tree: every row is about equally far from the product, so a weight gains
//            little from having few bits.
//
// Output: RESOLVE = 1: product on sum (two's complement when SIGNED), carry = 0.
//         RESOLVE = 0: sum + carry = product, plus 2^(W+A-1) when SIGNED, without overflow.
module mult_wallace #(
  parameter WEIGHT_WIDTH          = 8,
  parameter ACTIVATION_WIDTH      = 8,
  parameter SIGNED                = 1,
  parameter [127:0] ADDER         = "kogge_stone",
  parameter RESOLVE               = 1
) (
  input  wire [WEIGHT_WIDTH-1:0]                  weight,
  input  wire [ACTIVATION_WIDTH-1:0]              activation,
  output wire [WEIGHT_WIDTH+ACTIVATION_WIDTH-1:0] sum,
  output wire [WEIGHT_WIDTH+ACTIVATION_WIDTH-1:0] carry
);

  localparam W = WEIGHT_WIDTH;
  localparam A = ACTIVATION_WIDTH;
  localparam P = W + A;
  // Makes up for the inverted dots, see baugh_wooley_rows.v. In a square multiplier it is the single bit
  // above row 0 and needs no row of its own.
  localparam [P-1:0] ONE = 1;
  localparam [P-1:0] CORRECTION = (SIGNED != 0) ? ((ONE << (W - 1)) + (ONE << (A - 1))) : {P{1'b0}};
  localparam ROWS = (SIGNED == 0 || W == A) ? W : W + 1;

  wire [W*A-1:0] partial;
  baugh_wooley_rows #(.WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED)) u_rows (
    .weight(weight), .activation(activation), .rows(partial)
  );

  wire [ROWS*P-1:0] rows;
  genvar i;
  generate
    for (i = 0; i < W; i = i + 1) begin : gen_row
      wire [P-1:0] shifted = {{W{1'b0}}, partial[i*A+:A]} << i;
      if (i == 0 && ROWS == W) begin : gen_corrected
        assign rows[i*P+:P] = shifted | CORRECTION;
      end else begin : gen_plain
        assign rows[i*P+:P] = shifted;
      end
    end
    if (ROWS > W) begin : gen_correction
      assign rows[W*P+:P] = CORRECTION;
    end
  endgenerate

  wire [P-1:0] tree_sum;
  wire [P-1:0] tree_carry;
  csa_tree #(.ROWS(ROWS), .WIDTH(P)) u_tree (.rows(rows), .sum(tree_sum), .carry(tree_carry));

  resolve_pair #(.WIDTH(P), .ADDER(ADDER), .RESOLVE(RESOLVE), .OFFSET(SIGNED)) u_resolve (
    .in_sum(tree_sum), .in_carry(tree_carry), .sum(sum), .carry(carry)
  );

endmodule
