// Booth multiplier with stored digits, and bypasses for the weights that need less than the whole tree.
//
// Structure: rows selected by the stored digits (digit_rows.v), a carry-save tree, a final adder. BYPASS adds
//            a second way to the product, chosen by the static select bit of the code:
//            "none"       only the tree;
//            "one_digit"  weights with at most one digit: shifted by one_digit_bypass.v, the tree holding 0;
//            "two_row"    weights whose digits are zero but for the upper two rows (three when unsigned and
//                         of even width): an adder of these rows alone.
// Latency:   combinational: row selection, about log1.5(DIGITS / 2) full adders, final adder; a bypass
//            has no full adder, and one_digit no adder at all.
// Why:       with the recoder gone from the path this is the fastest full multiplier of the family, at any
//            weight; the bypass makes a class of weights faster still for one multiplexer on the rest.
//
// Output is folded: weight * activation minus the constant of fold_constant.v, never negative.
//         RESOLVE = 1: on sum, carry = 0.   RESOLVE = 0: sum + carry, without overflow.
module mult_booth_stored #(
  parameter WEIGHT_WIDTH     = 8,
  parameter ACTIVATION_WIDTH = 8,
  parameter SIGNED           = 1,
  parameter [127:0] ADDER    = "kogge_stone",
  parameter [127:0] BYPASS   = "none",
  parameter RESOLVE          = 1,
  // Derived, not to be set.
  parameter DIGITS           = (SIGNED != 0) ? (WEIGHT_WIDTH + 1) / 2 : WEIGHT_WIDTH / 2 + 1,
  parameter PRODUCT_WIDTH    = WEIGHT_WIDTH + ACTIVATION_WIDTH + ((SIGNED != 0) ? 0 : 1)
) (
  input  wire [3*DIGITS-1:0]         digits,  // {negative, two, one}
  input  wire                        select,  // take the bypass
  input  wire [ACTIVATION_WIDTH-1:0] activation,
  output wire [PRODUCT_WIDTH-1:0]    sum,
  output wire [PRODUCT_WIDTH-1:0]    carry
);

  localparam A = ACTIVATION_WIDTH;
  localparam P = PRODUCT_WIDTH;

  // A weight of one digit leaves the tree at zero, and all others the bypass.
  wire [DIGITS-1:0] in_tree = {DIGITS{BYPASS != "one_digit" || !select}};
  wire [DIGITS*(A+1)-1:0] short_rows;
  digit_rows #(.DIGITS(DIGITS), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED)) u_rows (
    .one(digits[0+:DIGITS] & in_tree), .two(digits[DIGITS+:DIGITS] & in_tree),
    .negative(digits[2*DIGITS+:DIGITS]), .activation(activation), .rows(short_rows)
  );

  wire [DIGITS*P-1:0] rows;
  genvar i;
  generate
    for (i = 0; i < DIGITS; i = i + 1) begin : gen_row
      extend #(.IN_WIDTH(A + 1 + 2 * i), .OUT_WIDTH(P)) u_extend (
        .in({short_rows[i*(A+1)+:A+1], {(2 * i) {1'b0}}}), .fill(1'b0), .out(rows[i*P+:P])
      );
    end
  endgenerate

  wire [P-1:0] tree_sum;
  wire [P-1:0] tree_carry;
  csa_tree #(.ROWS(DIGITS), .WIDTH(P)) u_tree (.rows(rows), .sum(tree_sum), .carry(tree_carry));

  wire [P-1:0] full_sum;
  wire [P-1:0] full_carry;
  resolve_pair #(.WIDTH(P), .ADDER(ADDER), .RESOLVE(RESOLVE), .OFFSET(0)) u_resolve (
    .in_sum(tree_sum), .in_carry(tree_carry), .sum(full_sum), .carry(full_carry)
  );

  generate
    if (BYPASS == "none") begin : gen_none
      assign sum = full_sum;
      assign carry = full_carry;
      wire unused_select = select;
    end else if (BYPASS == "one_digit") begin : gen_one_digit
      (* keep_hierarchy *)
      one_digit_bypass #(
        .DIGITS(DIGITS), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED), .PRODUCT_WIDTH(P)
      ) u_bypass (
        .digits({digits[2*DIGITS+:DIGITS], digits[0+:2*DIGITS] & {(2 * DIGITS) {select}}}), .activation(activation),
        .full_sum(full_sum), .sum(sum)
      );
      assign carry = full_carry;
    end else if (BYPASS == "two_row") begin : gen_two_row
      localparam UPPER = (SIGNED == 0 && WEIGHT_WIDTH % 2 == 0) ? 3 : 2;
      localparam LOWER = (DIGITS > UPPER) ? DIGITS - UPPER : 0;
      localparam H = P - 2 * LOWER;  // columns that the upper rows reach
      // The columns below are zero on either way when the select is set.
      if (LOWER > 0) begin : gen_low_columns
        assign sum[2*LOWER-1:0] = full_sum[2*LOWER-1:0];
        assign carry[2*LOWER-1:0] = full_carry[2*LOWER-1:0];
      end
      (* keep_hierarchy *)
      upper_rows_bypass #(
        .DIGITS(DIGITS - LOWER), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED), .ADDER(ADDER), .RESOLVE(RESOLVE),
        .SUM_WIDTH(H)
      ) u_bypass (
        .digits({digits[DIGITS*3-1:DIGITS*2+LOWER], digits[DIGITS*2-1:DIGITS+LOWER], digits[DIGITS-1:LOWER]}),
        .select(select), .activation(activation),
        .full_sum(full_sum[P-1:2*LOWER]), .full_carry(full_carry[P-1:2*LOWER]),
        .sum(sum[P-1:2*LOWER]), .carry(carry[P-1:2*LOWER])
      );
    end else begin : gen_error
`ifdef __ICARUS__  // has no elaboration tasks, but prints the name of a missing module
      error__BYPASS_must_be__none__one_digit__or__two_row u_error ();
`else
      $error("BYPASS must be none, one_digit or two_row");
`endif
    end
  endgenerate

endmodule
