// Sign-magnitude multiplier: the weight's magnitude times the activation's, and the sign put on at the end.
//
// Structure: magnitude of the activation, rows of AND gates gated by the stored magnitude of the weight, a
//            carry-save chain that takes row after row from the lowest up, a final adder, and a conditional
//            negation (XORs and an incrementer).
// Latency:   combinational: incrementer, WEIGHT_WIDTH - 2 full adders, final adder, incrementer.
// Why:       without sign dots a row of a zero bit is exactly zero, for negative weights too, and a multiple
//            of 2^k skips the first k full adders: the largest spread of all, on the slowest of all paths.
//
// Output: RESOLVE = 1: product on sum (two's complement when SIGNED), carry = 0.
//         RESOLVE = 0: the same plus 2^(W+A-1) when SIGNED: the sign comes after the sum, so there is no pair
//         to pass on.
module mult_sign_magnitude #(
  parameter WEIGHT_WIDTH     = 8,
  parameter ACTIVATION_WIDTH = 8,
  parameter SIGNED           = 1,
  parameter [127:0] ADDER    = "kogge_stone",
  parameter RESOLVE          = 1
) (
  input  wire [WEIGHT_WIDTH:0]                    code,  // {sign, magnitude}
  input  wire [ACTIVATION_WIDTH-1:0]              activation,
  output wire [WEIGHT_WIDTH+ACTIVATION_WIDTH-1:0] sum,
  output wire [WEIGHT_WIDTH+ACTIVATION_WIDTH-1:0] carry
);

  localparam W = WEIGHT_WIDTH;
  localparam A = ACTIVATION_WIDTH;
  localparam P = W + A;

  wire activation_sign = (SIGNED != 0) ? activation[A-1] : 1'b0;
  wire product_sign = (SIGNED != 0) ? code[W] ^ activation_sign : 1'b0;

  wire [A-1:0] magnitude;
  adder #(.WIDTH(A), .ADDER(ADDER)) u_magnitude (
    .a(activation ^ {A{activation_sign}}), .b({{(A - 1) {1'b0}}, activation_sign}), .sum(magnitude)
  );

  genvar i;
  generate
    for (i = 0; i < W; i = i + 1) begin : gen_row
      wire [P-1:0] partial = {{W{1'b0}}, magnitude & {A{code[i]}}} << i;
      wire [P-1:0] s;
      wire [P-1:0] c;
      if (i == 0) begin : gen_first
        assign s = partial;
        assign c = {P{1'b0}};
      end else begin : gen_next
        wire [P-1:0] x = partial ^ gen_row[i-1].s;
        assign s = x ^ gen_row[i-1].c;
        assign c = ((partial & gen_row[i-1].s) | (gen_row[i-1].c & x)) << 1;
      end
    end
  endgenerate

  wire [P-1:0] product_magnitude;
  wire [P-1:0] product;
  adder #(.WIDTH(P), .ADDER(ADDER)) u_final (
    .a(gen_row[W-1].s), .b(gen_row[W-1].c), .sum(product_magnitude)
  );
  adder #(.WIDTH(P), .ADDER(ADDER)) u_negate (
    .a(product_magnitude ^ {P{product_sign}}), .b({{(P - 1) {1'b0}}, product_sign}), .sum(product)
  );
  assign sum = {product[P-1] ^ (SIGNED != 0 && RESOLVE == 0), product[P-2:0]};
  assign carry = {P{1'b0}};

endmodule
