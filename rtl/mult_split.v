// Booth multiplier with stored digits whose low and high digits have adders of their own.
//
// Structure: rows selected by the stored digits (digit_rows.v); the rows of the low half of the digits are
//            added, those of the high half are added, and a third adder joins the two sums above the columns
//            that only the low half reaches.
// Latency:   combinational: row selection, two adders in series (and full adders beyond two rows a half).
// Why:       a weight whose low digits are zero holds one adder still, and the joining adder sees one moving
//            operand, whose carries cannot run: faster for that class without any select.
//
// Output is folded: weight * activation minus the constant of fold_constant.v, never negative.
//         RESOLVE = 1: on sum, carry = 0.   RESOLVE = 0: low half on sum, high half on carry.
module mult_split #(
  parameter WEIGHT_WIDTH     = 8,
  parameter ACTIVATION_WIDTH = 8,
  parameter SIGNED           = 1,
  parameter [127:0] ADDER    = "kogge_stone",
  parameter RESOLVE          = 1,
  // Derived, not to be set.
  parameter DIGITS           = (SIGNED != 0) ? (WEIGHT_WIDTH + 1) / 2 : WEIGHT_WIDTH / 2 + 1,
  parameter PRODUCT_WIDTH    = WEIGHT_WIDTH + ACTIVATION_WIDTH + ((SIGNED != 0) ? 0 : 1)
) (
  input  wire [3*DIGITS-1:0]         digits,  // {negative, two, one}
  input  wire [ACTIVATION_WIDTH-1:0] activation,
  output wire [PRODUCT_WIDTH-1:0]    sum,
  output wire [PRODUCT_WIDTH-1:0]    carry
);

  localparam A = ACTIVATION_WIDTH;
  localparam P = PRODUCT_WIDTH;
  localparam LOW = DIGITS / 2;
  localparam HIGH = DIGITS - LOW;
  localparam H = P - 2 * LOW;     // columns of the high half
  localparam L = A + 1 + 2 * LOW;  // columns of the low half's sum

  wire [DIGITS*(A+1)-1:0] rows;
  digit_rows #(.DIGITS(DIGITS), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED)) u_rows (
    .one(digits[0+:DIGITS]), .two(digits[DIGITS+:DIGITS]), .negative(digits[2*DIGITS+:DIGITS]),
    .activation(activation), .rows(rows)
  );

  wire [HIGH*H-1:0] high_rows;
  wire [H-1:0] high_tree_sum;
  wire [H-1:0] high_tree_carry;
  wire [H-1:0] high;
  genvar i;
  generate
    for (i = 0; i < HIGH; i = i + 1) begin : gen_high
      extend #(.IN_WIDTH(A + 1 + 2 * i), .OUT_WIDTH(H)) u_extend (
        .in({rows[(LOW+i)*(A+1)+:A+1], {(2 * i) {1'b0}}}), .fill(1'b0), .out(high_rows[i*H+:H])
      );
    end
  endgenerate
  csa_tree #(.ROWS(HIGH), .WIDTH(H)) u_high_tree (
    .rows(high_rows), .sum(high_tree_sum), .carry(high_tree_carry)
  );
  adder #(.WIDTH(H), .ADDER(ADDER)) u_high (.enable(1'b1), .a(high_tree_sum), .b(high_tree_carry), .sum(high));

  generate
    if (LOW > 0) begin : gen_low
      wire [LOW*L-1:0] low_rows;
      wire [L-1:0] low_tree_sum;
      wire [L-1:0] low_tree_carry;
      wire [L-1:0] low;
      for (i = 0; i < LOW; i = i + 1) begin : gen_row
        extend #(.IN_WIDTH(A + 1 + 2 * i), .OUT_WIDTH(L)) u_extend (
          .in({rows[i*(A+1)+:A+1], {(2 * i) {1'b0}}}), .fill(1'b0), .out(low_rows[i*L+:L])
        );
      end
      csa_tree #(.ROWS(LOW), .WIDTH(L)) u_low_tree (
        .rows(low_rows), .sum(low_tree_sum), .carry(low_tree_carry)
      );
      adder #(.WIDTH(L), .ADDER(ADDER)) u_low (.enable(1'b1), .a(low_tree_sum), .b(low_tree_carry), .sum(low));

      wire [H-1:0] low_above;  // the part of the low half's sum in the high half's columns
      extend #(.IN_WIDTH(A + 1), .OUT_WIDTH(H)) u_above (.in(low[L-1:2*LOW]), .fill(1'b0), .out(low_above));
      assign sum[2*LOW-1:0] = low[2*LOW-1:0];
      assign carry[2*LOW-1:0] = {(2 * LOW) {1'b0}};
      resolve_pair #(.WIDTH(H), .ADDER(ADDER), .RESOLVE(RESOLVE), .OFFSET(0)) u_join (
        .in_sum(low_above), .in_carry(high), .sum(sum[P-1:2*LOW]), .carry(carry[P-1:2*LOW])
      );
    end else begin : gen_only_high
      assign sum = high;
      assign carry = {P{1'b0}};
    end
  endgenerate

endmodule
