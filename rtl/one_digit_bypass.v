// The product of at most one stored Booth digit: the short way of the one_digit bypass.
//
// Structure: the folded activation or its complement, an AND with each of the 2 * DIGITS places that a digit can put
//            it in, of which the stored digits select one or none, and the OR of these with the tree's product.
// Latency:   combinational: XOR, AND, an OR of 2 * DIGITS + 1 bits; from the tree the OR alone.
// Why:       a module of its own is mapped for its own delay: within one flattened block the mapper sees that the
//            whole tree is slower and spends nothing here. One of the two products is always zero, so that they
//            meet in an OR, which is faster than a multiplexer and lets no false path through.
//
// Output is folded. RESOLVE = 1: on sum, carry = 0.   RESOLVE = 0: sum + carry, without overflow.
module one_digit_bypass #(
  parameter DIGITS           = 4,
  parameter ACTIVATION_WIDTH = 8,
  parameter SIGNED           = 1,
  parameter PRODUCT_WIDTH    = 16
) (
  input  wire [3*DIGITS-1:0]         digits,  // {negative, two, one}; one and two have at most one bit set
  input  wire [ACTIVATION_WIDTH-1:0] activation,
  input  wire [PRODUCT_WIDTH-1:0]    full_sum,  // product of all digits, 0 if one and two are not
  output wire [PRODUCT_WIDTH-1:0]    sum
);

  localparam A = ACTIVATION_WIDTH;
  localparam P = PRODUCT_WIDTH;

  wire [A-1:0] folded = {activation[A-1] ^ (SIGNED != 0), activation[A-2:0]};
  wire [A-1:0] moved = folded ^ {A{|digits[3*DIGITS-1:2*DIGITS]}};

  genvar i;
  generate
    for (i = 0; i < 2 * DIGITS; i = i + 1) begin : gen_place
      wire selected;
      wire [P-1:0] row;
      wire [P-1:0] any;
      if (i % 2 == 0) begin : gen_one
        assign selected = digits[i/2];
      end else begin : gen_two
        assign selected = digits[DIGITS+i/2];
      end
      extend #(.IN_WIDTH(A + i), .OUT_WIDTH(P)) u_extend (
        .in({moved & {A{selected}}, {i{1'b0}}}), .fill(1'b0), .out(row)
      );
      if (i == 0) begin : gen_first
        assign any = row;
      end else begin : gen_next
        assign any = gen_place[i-1].any | row;
      end
    end
  endgenerate

  assign sum = gen_place[2*DIGITS-1].any | full_sum;

endmodule
