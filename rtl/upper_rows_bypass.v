// The short way of the two_row bypass: adds the rows of a few stored Booth digits, and takes their sum instead of
// the whole tree's when the static select says so.
//
// Structure: row selection of its own (digit_rows.v), carry-save tree when there are more than two rows, adder,
//            multiplexer.
// Latency:   combinational: row selection, one adder, multiplexer; from the whole tree the multiplexer alone.
// Why:       a module of its own, with its own rows and the multiplexer inside, is mapped for its own delay (the
//            instance keeps its hierarchy until then). Within one flattened block the mapper sees that the tree
//            is slower anyway and spends nothing here: 416 instead of 260 ps on Nangate45.
//
// Output is folded, counted from the lowest row's column.
//         RESOLVE = 1: on sum, carry = 0.   RESOLVE = 0: sum + carry, without overflow.
module upper_rows_bypass #(
  parameter DIGITS           = 2,
  parameter ACTIVATION_WIDTH = 8,
  parameter SIGNED           = 1,
  parameter [127:0] ADDER    = "kogge_stone",
  parameter RESOLVE          = 1,
  parameter SUM_WIDTH        = 12
) (
  input  wire [3*DIGITS-1:0]         digits,  // {negative, two, one}
  input  wire                        select,  // static
  input  wire [ACTIVATION_WIDTH-1:0] activation,
  input  wire [SUM_WIDTH-1:0]        full_sum,    // product of all digits
  input  wire [SUM_WIDTH-1:0]        full_carry,
  output wire [SUM_WIDTH-1:0]        sum,
  output wire [SUM_WIDTH-1:0]        carry
);

  localparam A = ACTIVATION_WIDTH;

  wire [DIGITS*(A+1)-1:0] short_rows;
  digit_rows #(.DIGITS(DIGITS), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED)) u_rows (
    .one(digits[0+:DIGITS]), .two(digits[DIGITS+:DIGITS]), .negative(digits[2*DIGITS+:DIGITS]),
    .activation(activation), .rows(short_rows)
  );

  wire [DIGITS*SUM_WIDTH-1:0] rows;
  genvar i;
  generate
    for (i = 0; i < DIGITS; i = i + 1) begin : gen_row
      wire [A+2*i:0] shifted = {{(2 * i) {1'b0}}, short_rows[i*(A+1)+:A+1]} << (2 * i);
      extend #(.IN_WIDTH(A + 1 + 2 * i), .OUT_WIDTH(SUM_WIDTH)) u_extend (
        .in(shifted), .fill(1'b0), .out(rows[i*SUM_WIDTH+:SUM_WIDTH])
      );
    end
  endgenerate

  wire [SUM_WIDTH-1:0] tree_sum;
  wire [SUM_WIDTH-1:0] tree_carry;
  csa_tree #(.ROWS(DIGITS), .WIDTH(SUM_WIDTH)) u_tree (.rows(rows), .sum(tree_sum), .carry(tree_carry));
  wire [SUM_WIDTH-1:0] upper_sum;
  wire [SUM_WIDTH-1:0] upper_carry;
  resolve_pair #(.WIDTH(SUM_WIDTH), .ADDER(ADDER), .RESOLVE(RESOLVE), .OFFSET(0)) u_resolve (
    .in_sum(tree_sum), .in_carry(tree_carry), .sum(upper_sum), .carry(upper_carry)
  );

  assign sum = select ? upper_sum : full_sum;
  assign carry = select ? upper_carry : full_carry;

endmodule
