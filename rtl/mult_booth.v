// Radix-4 Booth multiplier: one operand is recoded into digits -2 … 2, each selects a multiple of the other.
//
// Structure: recoder, one partial-product row per digit (one's complement, the missing +1 as a dot of the
//            next row), a carry-save tree over rows and constants, and a final adder over all columns.
//            RECODE says which operand becomes digits: "weight" or "activation".
// Latency:   combinational: recoder, log1.5 of half the row count in full adders, final adder.
// Why:       the conventional fast multiplier, the yardstick of every bypass. Signs are spread over the
//            columns, so nearly every weight exercises nearly every path and the delay hardly depends on it.
//
// Output: RESOLVE = 1: product on sum (two's complement when SIGNED), carry = 0.
//         RESOLVE = 0: sum + carry = product + 2^(PRODUCT_WIDTH-1), without overflow.
module mult_booth #(
  parameter WEIGHT_WIDTH     = 8,
  parameter ACTIVATION_WIDTH = 8,
  parameter SIGNED           = 1,
  parameter [127:0] ADDER            = "kogge_stone",
  parameter [127:0] RECODE           = "weight",
  parameter RESOLVE          = 1,
  // Derived, not to be set: one bit more when unsigned, where the offset needs it.
  parameter PRODUCT_WIDTH    = WEIGHT_WIDTH + ACTIVATION_WIDTH + ((SIGNED != 0) ? 0 : 1)
) (
  input  wire [WEIGHT_WIDTH-1:0]     weight,
  input  wire [ACTIVATION_WIDTH-1:0] activation,
  output wire [PRODUCT_WIDTH-1:0]    sum,
  output wire [PRODUCT_WIDTH-1:0]    carry
);

  localparam P = PRODUCT_WIDTH;
  // N bits are recoded into DIGITS digits, each selects a multiple of an operand of M bits.
  localparam N = (RECODE == "activation") ? ACTIVATION_WIDTH : WEIGHT_WIDTH;
  localparam M = (RECODE == "activation") ? WEIGHT_WIDTH : ACTIVATION_WIDTH;
  localparam DIGITS = (SIGNED != 0) ? (N + 1) / 2 : N / 2 + 1;

  // Column, within row i, of the row's sign; the top digit of an unsigned operand is never negative (its
  // row ends there), that of a signed operand of odd width is -1, 0 or 1.
  function integer sign_column;
    input integer i;
    begin
      if (SIGNED == 0) sign_column = M + 1;
      else if (i == DIGITS - 1 && N % 2 == 1) sign_column = M - 1;
      else sign_column = M;
    end
  endfunction

  // Inverting a sign adds 2^column to its row. The constant turns the sum of these into 2^(P-1).
  function [P-1:0] offset_constant;
    input integer unused_argument;
    integer k;
    reg [P-1:0] one;
    begin
      one = 1;
      offset_constant = (one << (P - 1)) + unused_argument[0];
      for (k = 0; k < DIGITS; k = k + 1) begin
        if (SIGNED != 0 || k < DIGITS - 1) begin
          offset_constant = offset_constant - (one << (sign_column(k) + 2 * k));
        end
      end
    end
  endfunction

  wire [N-1:0] recoded;
  wire [M-1:0] selected;
  generate
    if (RECODE == "weight") begin : gen_recode_weight
      assign recoded = weight;
      assign selected = activation;
    end else if (RECODE == "activation") begin : gen_recode_activation
      assign recoded = activation;
      assign selected = weight;
    end else begin : gen_error
`ifdef __ICARUS__  // has no elaboration tasks, but prints the name of a missing module
      error__RECODE_must_be__weight__or__activation u_error ();
`else
      $error("RECODE must be weight or activation");
`endif
    end
  endgenerate

  wire [2*DIGITS:0] padded;  // operand bit k at k + 1, extended to whole digits
  wire selected_sign = (SIGNED != 0) ? selected[M-1] : 1'b0;

  // Rows 0 … DIGITS-1 are the digits' multiples; the constant and the +1 of the last digit share a row
  // unless the constant reaches down to that column.
  localparam LAST_COLUMN = 2 * DIGITS - 2;
  localparam SHARED = LAST_COLUMN < sign_column(0) || SIGNED == 0;
  localparam ROWS = DIGITS + (SHARED ? 1 : 2);
  wire [ROWS*P-1:0] rows;
  wire [DIGITS-1:0] negative;

  genvar i;
  generate
    for (i = 0; i <= 2 * DIGITS; i = i + 1) begin : gen_padded
      if (i == 0) begin : gen_below
        assign padded[i] = 1'b0;
      end else if (i <= N) begin : gen_operand
        assign padded[i] = recoded[i-1];
      end else begin : gen_above
        assign padded[i] = (SIGNED != 0) ? recoded[N-1] : 1'b0;
      end
    end

    for (i = 0; i < DIGITS; i = i + 1) begin : gen_digit
      localparam SIGN = sign_column(i);
      localparam HAS_SIGN = SIGNED != 0 || i < DIGITS - 1;
      wire [2:0] triplet = padded[2*i+:3];
      wire one = triplet[1] ^ triplet[0];
      wire two = (triplet == 3'b011) | (triplet == 3'b100);
      assign negative[i] = HAS_SIGN ? triplet[2] : 1'b0;
      // Bits 0 … M+1 of the selected multiple; those above the row's sign are copies of it.
      wire [M+1:0] multiple = ({{2{selected_sign}}, selected} & {(M + 2) {one}}) |
                              ({selected_sign, selected, 1'b0} & {(M + 2) {two}});
      wire [M+1:0] row = multiple ^ {(M + 2) {negative[i]}};
      wire [SIGN:0] dots = {row[SIGN] ^ HAS_SIGN, row[SIGN-1:0]};
      if (i == 0) begin : gen_first
        assign rows[0+:P] = {{(P - SIGN - 1) {1'b0}}, dots};
      end else begin : gen_next
        // The +1 of the digit below lies one column pair below this row.
        wire [P-1:0] shifted;
        extend #(.IN_WIDTH(SIGN + 1 + 2 * i), .OUT_WIDTH(P)) u_extend (
          .in({dots, {(2 * i) {1'b0}}}), .fill(1'b0), .out(shifted)
        );
        assign rows[i*P+:P] = shifted | ({{(P - 1) {1'b0}}, negative[i-1]} << (2 * i - 2));
      end
    end
  endgenerate

  wire [P-1:0] last_dot = {{(P - 1) {1'b0}}, negative[DIGITS-1]} << LAST_COLUMN;
  generate
    if (SHARED) begin : gen_shared
      assign rows[DIGITS*P+:P] = offset_constant(0) | last_dot;
    end else begin : gen_apart
      assign rows[DIGITS*P+:P] = offset_constant(0);
      assign rows[(DIGITS+1)*P+:P] = last_dot;
    end
  endgenerate

  wire [P-1:0] tree_sum;
  wire [P-1:0] tree_carry;
  csa_tree #(.ROWS(ROWS), .WIDTH(P)) u_tree (.rows(rows), .sum(tree_sum), .carry(tree_carry));

  wire [P-1:0] resolved;
  resolve_pair #(.WIDTH(P), .ADDER(ADDER), .RESOLVE(RESOLVE), .OFFSET(1)) u_resolve (
    .in_sum(tree_sum), .in_carry(tree_carry), .sum(resolved), .carry(carry)
  );
  // An unsigned product ends below the offset's column.
  assign sum = {resolved[P-1] & (SIGNED != 0 || RESOLVE == 0), resolved[P-2:0]};

endmodule
