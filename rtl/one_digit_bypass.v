// The product of at most one stored Booth digit: the short way of the one_digit bypass.
//
// Structure: row selection of its own (digit_rows.v) and the OR of the rows, of which all but one are zero.
// Latency:   combinational: row selection, an OR of DIGITS bits, and the multiplexer.
// Why:       a module of its own, with its own row selection, is mapped for its own delay: within one
//            flattened block the mapper sees that the whole tree is slower and spends nothing here.
//
// Output is folded. RESOLVE = 1: on sum, carry = 0.   RESOLVE = 0: sum + carry, without overflow.
module one_digit_bypass #(
  parameter DIGITS           = 4,
  parameter ACTIVATION_WIDTH = 8,
  parameter SIGNED           = 1,
  parameter PRODUCT_WIDTH    = 16
) (
  input  wire [3*DIGITS-1:0]         digits,  // {negative, two, one}
  input  wire                        select,
  input  wire [ACTIVATION_WIDTH-1:0] activation,
  input  wire [PRODUCT_WIDTH-1:0]    full_sum,  // product of all digits
  input  wire [PRODUCT_WIDTH-1:0]    full_carry,
  output wire [PRODUCT_WIDTH-1:0]    sum,
  output wire [PRODUCT_WIDTH-1:0]    carry
);

  localparam A = ACTIVATION_WIDTH;
  localparam P = PRODUCT_WIDTH;

  wire [DIGITS*(A+1)-1:0] short_rows;
  digit_rows #(.DIGITS(DIGITS), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED)) u_rows (
    .one(digits[0+:DIGITS]), .two(digits[DIGITS+:DIGITS]), .negative(digits[2*DIGITS+:DIGITS]),
    .activation(activation), .rows(short_rows)
  );

  genvar i;
  generate
    for (i = 0; i < DIGITS; i = i + 1) begin : gen_or
      wire [P-1:0] row;
      wire [P-1:0] any;
      extend #(.IN_WIDTH(A + 1 + 2 * i), .OUT_WIDTH(P)) u_extend (
        .in({short_rows[i*(A+1)+:A+1], {(2 * i) {1'b0}}}), .fill(1'b0), .out(row)
      );
      if (i == 0) begin : gen_first
        assign any = row;
      end else begin : gen_next
        assign any = gen_or[i-1].any | row;
      end
    end
  endgenerate

  assign sum = select ? gen_or[DIGITS-1].any : full_sum;
  assign carry = select ? {P{1'b0}} : full_carry;

endmodule
