// Array multiplier (Baugh-Wooley when signed): one row of full adders per weight bit.
//
// Structure: row i adds the activation, gated by one weight bit, to the carry-save sum of the rows before
//            it. ROW_ORDER says which end of the weight enters first:
//            "low_first"   bit 0 first: product bit i leaves the array at row i, the high bits go through
//                          an adder of ACTIVATION_WIDTH bits;
//            "high_first"  the most significant bit first: all product bits leave after the last row.
// Latency:   combinational, WEIGHT_WIDTH - 1 full adders and the final adder.
// Why:       the textbook structure whose delay depends on the weight. With low_first, a weight that is
//            a multiple of 2^k holds the first k rows still, and what moves has WEIGHT_WIDTH - k rows
//            left to go. high_first is the counter-example: the rows that a small multiple of 2^k silences
//            are the last ones, and every path still crosses them.
//
// Output: RESOLVE = 1: product on sum (two's complement when SIGNED), carry = 0.
//         RESOLVE = 0: sum + carry = product, plus 2^(W+A-1) when SIGNED, without overflow.
module mult_array #(
  parameter WEIGHT_WIDTH     = 8,
  parameter ACTIVATION_WIDTH = 8,
  parameter SIGNED           = 1,
  parameter [127:0] ADDER            = "kogge_stone",
  parameter [127:0] ROW_ORDER        = "low_first",
  parameter RESOLVE          = 1
) (
  input  wire [WEIGHT_WIDTH-1:0]                  weight,
  input  wire [ACTIVATION_WIDTH-1:0]              activation,
  output wire [WEIGHT_WIDTH+ACTIVATION_WIDTH-1:0] sum,
  output wire [WEIGHT_WIDTH+ACTIVATION_WIDTH-1:0] carry
);

  localparam W = WEIGHT_WIDTH;
  localparam A = ACTIVATION_WIDTH;
  localparam P = W + A;
  // Makes up for the inverted dots, see baugh_wooley_rows.v.
  localparam [P-1:0] ONE = 1;
  localparam [P-1:0] CORRECTION = (SIGNED != 0) ? ((ONE << (W - 1)) + (ONE << (A - 1))) : {P{1'b0}};

  wire [W*A-1:0] rows;
  baugh_wooley_rows #(.WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED)) u_rows (
    .weight(weight), .activation(activation), .rows(rows)
  );

  genvar i;
  generate
    if (ROW_ORDER == "low_first") begin : gen_low_first
      // Row i covers columns i … i+A-1. Bits of the correction sit where an adder has a free input: in the
      // carries of row 0 (columns 1 … A), and at the top of each later row (column i+A-1).
      for (i = 0; i < W; i = i + 1) begin : gen_row
        wire [A-1:0] s;  // columns i … i+A-1
        wire [A-1:0] c;  // columns i+1 … i+A
        if (i == 0) begin : gen_first
          assign s = rows[A-1:0];
          assign c = CORRECTION[A:1];
        end else begin : gen_next
          // The first row that could take column A at its top leaves it to the carries of row 0.
          wire top = (i > 1) ? CORRECTION[i+A-1] : 1'b0;
          wire [A-1:0] above = {top, gen_row[i-1].s[A-1:1]};
          wire [A-1:0] partial = rows[i*A+:A];
          wire [A-1:0] x = partial ^ above;
          assign s = x ^ gen_row[i-1].c;
          assign c = (partial & above) | (gen_row[i-1].c & x);
        end
        assign sum[i] = s[0];
      end

      wire [A-1:0] high_sum = {(SIGNED != 0 && RESOLVE != 0), gen_row[W-1].s[A-1:1]};
      if (RESOLVE != 0) begin : gen_resolved
        adder #(.WIDTH(A), .ADDER(ADDER)) u_final (.enable(1'b1), .a(high_sum), .b(gen_row[W-1].c), .sum(sum[P-1:W]));
        assign carry = {P{1'b0}};
      end else begin : gen_pair
        assign sum[P-1:W] = high_sum;
        assign carry = {gen_row[W-1].c, {W{1'b0}}};
      end
    end else if (ROW_ORDER == "high_first") begin : gen_high_first
      for (i = 0; i < W; i = i + 1) begin : gen_row
        wire [P-1:0] s;
        wire [P-1:0] c;
        wire [P-1:0] partial = {{W{1'b0}}, rows[(W-1-i)*A+:A]} << (W - 1 - i);
        if (i == 0) begin : gen_first
          assign s = partial;
          assign c = CORRECTION;
        end else begin : gen_next
          wire [P-1:0] x = partial ^ gen_row[i-1].s;
          assign s = x ^ gen_row[i-1].c;
          assign c = ((partial & gen_row[i-1].s) | (gen_row[i-1].c & x)) << 1;
        end
      end

      resolve_pair #(.WIDTH(P), .ADDER(ADDER), .RESOLVE(RESOLVE), .OFFSET(SIGNED)) u_resolve (
        .in_sum(gen_row[W-1].s), .in_carry(gen_row[W-1].c), .sum(sum), .carry(carry)
      );
    end else begin : gen_error
`ifdef __ICARUS__  // has no elaboration tasks, but prints the name of a missing module
      error__ROW_ORDER_must_be__low_first__or__high_first u_error ();
`else
      $error("ROW_ORDER must be low_first or high_first");
`endif
    end
  endgenerate

endmodule
