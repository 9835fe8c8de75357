// Weight-stationary multiply-accumulate unit: psum_out = psum_in + weight * activation.
//
// Structure: encoder and register of the weight with load enable, activation register, multiplier, accumulation
//            adder and partial-sum register; every path but psum_in runs from register to register.
//            PIPELINE says where the sum is cut:
//            "two_stage"   product_q <= w * a;   psum_q <= psum_in + product_q
//                          (sign_magnitude leaves {sign, magnitude} in product_q)
//            "high_radix"  as two_stage, but the sum stays in high-radix carry-save form: the adder is cut into
//                          parts of 4 bits, and the carry of each waits in psum_carry_q for the next part of the next
//                          element; to be added once at the end of the column
//            "fused"       psum_q <= psum_in + w * a, with psum_in joining the multiplier's tree
//            "carry_save"  as fused, but the sum stays a pair (psum_q, psum_carry_q), to be added once at
//                          the end of the column
// Latency:   activation_in to psum_out 3 clock edges with a product register, else 2; psum_in to psum_out 1.
//            weight_in counts from the edge after weight_load on.
// Why:       a product register keeps the adder from hiding the weight: behind the multiplier in one stage
//            it leaves about 3 % of the spread. Where a class of weights makes the product fast, the adder is what
//            is left; high_radix leaves a short one.
//
// The folded multipliers "booth_stored", "split", "one_digit" and "two_row" leave out a constant that depends
// on the weight alone: psum_out = psum_in + weight * activation - constant(weight), see fold_constant.v. The
// sum of these over a column is its bias, which systolic_array.v feeds into the column's first psum_in.
//
// Sums wrap modulo 2^ACCUMULATOR_WIDTH.
module mac #(
  parameter WEIGHT_WIDTH      = 8,              // 2 … 16
  parameter ACTIVATION_WIDTH  = 8,              // 2 … 16
  parameter ACCUMULATOR_WIDTH = 24,             // 8 … 48
  parameter SIGNED            = 1,              // both operands: 1 two's complement, 0 unsigned
  parameter [127:0] MULTIPLIER        = "array",        // see multiplier.v
  parameter [127:0] ADDER             = "kogge_stone",  // final and accumulation adder, see adder.v
  parameter [127:0] PIPELINE          = "two_stage",    // "high_radix", "fused" or "carry_save"
  parameter [127:0] ROW_ORDER         = "low_first",    // of the array: "low_first" or "high_first"
  parameter [127:0] RECODE            = "weight",       // by booth: "weight" or "activation"
  // Derived, not to be set: width of the carry ports.
  parameter CARRY_WIDTH       = (PIPELINE == "carry_save" || PIPELINE == "high_radix") ? ACCUMULATOR_WIDTH : 1
) (
  input  wire                         clk,
  input  wire                         rst_n,  // synchronous, clears every register
  input  wire                         weight_load,
  input  wire [WEIGHT_WIDTH-1:0]      weight_in,
  input  wire [ACTIVATION_WIDTH-1:0]  activation_in,
  input  wire [ACCUMULATOR_WIDTH-1:0] psum_in,
  input  wire [CARRY_WIDTH-1:0]       psum_carry_in,
  output wire [ACTIVATION_WIDTH-1:0]  activation_out,
  output wire [ACCUMULATOR_WIDTH-1:0] psum_out,
  output wire [CARRY_WIDTH-1:0]       psum_carry_out
);

  // Radix-4 digits of a weight, and the width of the form in which the multiplier wants it.
  localparam DIGITS = (SIGNED != 0) ? (WEIGHT_WIDTH + 1) / 2 : WEIGHT_WIDTH / 2 + 1;
  localparam HAS_BYPASS = MULTIPLIER == "one_digit" || MULTIPLIER == "two_row";
  localparam FOLDED = MULTIPLIER == "booth_stored" || MULTIPLIER == "split" || HAS_BYPASS;
  localparam CODE_WIDTH = FOLDED ? (HAS_BYPASS ? 3 * DIGITS + 1 : 3 * DIGITS) :
                          (MULTIPLIER == "sign_magnitude") ? WEIGHT_WIDTH + 1 : WEIGHT_WIDTH;

  localparam HAS_PRODUCT = PIPELINE == "two_stage" || PIPELINE == "high_radix";
  localparam PRODUCT_WIDTH = WEIGHT_WIDTH + ACTIVATION_WIDTH + ((SIGNED != 0) ? 0 : 1);
  localparam PRODUCT_SIGNED = SIGNED != 0 && !FOLDED;
  localparam SIGN_APART = SIGNED != 0 && MULTIPLIER == "sign_magnitude";
  localparam HAS_OFFSET = PRODUCT_SIGNED || MULTIPLIER == "booth";

  generate
    if (WEIGHT_WIDTH < 2 || WEIGHT_WIDTH > 16 ||
        ACTIVATION_WIDTH < 2 || ACTIVATION_WIDTH > 16) begin : gen_error_operands
`ifdef __ICARUS__  // has no elaboration tasks, but prints the name of a missing module
      error__WEIGHT_WIDTH_and_ACTIVATION_WIDTH_must_be__2_to_16 u_error ();
`else
      $error("WEIGHT_WIDTH and ACTIVATION_WIDTH must be 2 to 16");
`endif
    end
    if (ACCUMULATOR_WIDTH < 8 || ACCUMULATOR_WIDTH > 48) begin : gen_error_accumulator
`ifdef __ICARUS__
      error__ACCUMULATOR_WIDTH_must_be__8_to_48 u_error ();
`else
      $error("ACCUMULATOR_WIDTH must be 8 to 48");
`endif
    end
    if (SIGNED != 0 && SIGNED != 1) begin : gen_error_signed
`ifdef __ICARUS__
      error__SIGNED_must_be__0_or_1 u_error ();
`else
      $error("SIGNED must be 0 or 1");
`endif
    end
  endgenerate

  wire [CODE_WIDTH-1:0]        weight_code;
  reg  [CODE_WIDTH-1:0]        weight_q;
  reg  [ACTIVATION_WIDTH-1:0]  activation_q;
  reg  [ACCUMULATOR_WIDTH-1:0] psum_q;

  weight_encoder #(
    .WEIGHT_WIDTH(WEIGHT_WIDTH), .SIGNED(SIGNED), .MULTIPLIER(MULTIPLIER), .CODE_WIDTH(CODE_WIDTH)
  ) u_encoder (
    .weight(weight_in), .code(weight_code)
  );

  always @(posedge clk) begin
    if (!rst_n) begin
      weight_q <= {CODE_WIDTH{1'b0}};
    end else if (weight_load) begin
      weight_q <= weight_code;
    end
  end

  always @(posedge clk) begin
    if (!rst_n) begin
      activation_q <= {ACTIVATION_WIDTH{1'b0}};
    end else begin
      activation_q <= activation_in;
    end
  end

  // Digits of 0 make a folded product 0: reset acts on them, which hold still, and not behind the slowest path.
  localparam RESET_BY_CODE = FOLDED && HAS_PRODUCT;
  wire [CODE_WIDTH-1:0]    code = weight_q & {CODE_WIDTH{rst_n || !RESET_BY_CODE}};
  wire [PRODUCT_WIDTH-1:0] product_sum;
  wire [PRODUCT_WIDTH-1:0] product_carry;
  multiplier #(
    .WEIGHT_WIDTH(WEIGHT_WIDTH), .ACTIVATION_WIDTH(ACTIVATION_WIDTH), .SIGNED(SIGNED),
    .MULTIPLIER(MULTIPLIER), .ADDER(ADDER), .ROW_ORDER(ROW_ORDER), .RECODE(RECODE),
    .RESOLVE(HAS_PRODUCT), .CODE_WIDTH(CODE_WIDTH)
  ) u_multiplier (
    .code(code), .activation(activation_q), .sum(product_sum), .carry(product_carry)
  );

  wire [ACCUMULATOR_WIDTH-1:0] next_psum;

  generate
    if (HAS_PRODUCT) begin : gen_two_stage
      reg [PRODUCT_WIDTH-1:0] product_q;
      always @(posedge clk) begin
        if (!rst_n && !RESET_BY_CODE) begin
          product_q <= {PRODUCT_WIDTH{1'b0}};
        end else begin
          product_q <= product_sum;
        end
      end

      // -magnitude = ~magnitude + 1; the 1 comes as a carry into the sum.
      wire sign = SIGN_APART ? product_q[PRODUCT_WIDTH-1] : 1'b0;
      wire [ACCUMULATOR_WIDTH-1:0] addend;
      if (SIGN_APART) begin : gen_sign_apart
        extend #(.IN_WIDTH(PRODUCT_WIDTH - 1), .OUT_WIDTH(ACCUMULATOR_WIDTH)) u_extend (
          .in(product_q[PRODUCT_WIDTH-2:0] ^ {(PRODUCT_WIDTH - 1) {sign}}), .fill(sign), .out(addend)
        );
      end else begin : gen_product
        extend #(.IN_WIDTH(PRODUCT_WIDTH), .OUT_WIDTH(ACCUMULATOR_WIDTH)) u_extend (
          .in(product_q), .fill(PRODUCT_SIGNED ? product_q[PRODUCT_WIDTH-1] : 1'b0), .out(addend)
        );
      end
      wire unused_product_carry = ^product_carry;

      if (PIPELINE == "two_stage") begin : gen_whole_sum
        if (SIGN_APART) begin : gen_carry_in
          wire unused_column;
          adder #(.WIDTH(ACCUMULATOR_WIDTH + 1), .ADDER(ADDER)) u_accumulate (
            .enable(rst_n), .a({psum_in, sign}), .b({addend, sign}), .sum({next_psum, unused_column})
          );
        end else begin : gen_plain
          adder #(.WIDTH(ACCUMULATOR_WIDTH), .ADDER(ADDER)) u_accumulate (
            .enable(rst_n), .a(psum_in), .b(addend), .sum(next_psum)
          );
          wire unused_sign = sign;
        end
        assign psum_carry_out = {CARRY_WIDTH{1'b0}};
        wire unused_psum_carry_in = ^psum_carry_in;
      end else begin : gen_high_radix
        localparam PART_WIDTH = 4;
        localparam KEPT = (ACCUMULATOR_WIDTH - 1) / PART_WIDTH;
        wire [ACCUMULATOR_WIDTH-1:0] next_carry;
        reg  [KEPT-1:0]              psum_carry_q;
        part_adder #(.WIDTH(ACCUMULATOR_WIDTH), .PART_WIDTH(PART_WIDTH), .ADDER(ADDER)) u_accumulate (
          .enable(rst_n), .a(psum_in), .b(addend), .carries_in({psum_carry_in[ACCUMULATOR_WIDTH-1:1], sign}),
          .sum(next_psum), .carries_out(next_carry)
        );
        wire unused_lowest = psum_carry_in[0];
        genvar i;
        for (i = 0; i < ACCUMULATOR_WIDTH; i = i + 1) begin : gen_carry
          if (i > 0 && i % PART_WIDTH == 0) begin : gen_kept
            always @(posedge clk) begin
              psum_carry_q[i/PART_WIDTH-1] <= next_carry[i];
            end
            assign psum_carry_out[i] = psum_carry_q[i/PART_WIDTH-1];
          end else begin : gen_none
            assign psum_carry_out[i] = next_carry[i];  // 0
          end
        end
      end
    end else if (PIPELINE == "fused" || PIPELINE == "carry_save") begin : gen_one_stage
      wire [ACCUMULATOR_WIDTH-1:0] addend;
      wire [ACCUMULATOR_WIDTH-1:0] addend_carry;
      if (HAS_OFFSET) begin : gen_offset
        // Taking the offset off turns the pair's top column, where at most one bit is set, into a sign.
        wire top = product_sum[PRODUCT_WIDTH-1] | product_carry[PRODUCT_WIDTH-1];
        extend #(.IN_WIDTH(PRODUCT_WIDTH - 1), .OUT_WIDTH(ACCUMULATOR_WIDTH)) u_sum (
          .in(product_sum[PRODUCT_WIDTH-2:0]), .fill(~top), .out(addend)
        );
        extend #(.IN_WIDTH(PRODUCT_WIDTH - 1), .OUT_WIDTH(ACCUMULATOR_WIDTH)) u_carry (
          .in(product_carry[PRODUCT_WIDTH-2:0]), .fill(1'b0), .out(addend_carry)
        );
      end else begin : gen_exact
        extend #(.IN_WIDTH(PRODUCT_WIDTH), .OUT_WIDTH(ACCUMULATOR_WIDTH)) u_sum (
          .in(product_sum), .fill(1'b0), .out(addend)
        );
        extend #(.IN_WIDTH(PRODUCT_WIDTH), .OUT_WIDTH(ACCUMULATOR_WIDTH)) u_carry (
          .in(product_carry), .fill(1'b0), .out(addend_carry)
        );
      end

      if (PIPELINE == "fused") begin : gen_fused
        wire [ACCUMULATOR_WIDTH-1:0] tree_sum;
        wire [ACCUMULATOR_WIDTH-1:0] tree_carry;
        csa_tree #(.ROWS(3), .WIDTH(ACCUMULATOR_WIDTH)) u_join (
          .rows({psum_in, addend_carry, addend}), .sum(tree_sum), .carry(tree_carry)
        );
        adder #(.WIDTH(ACCUMULATOR_WIDTH), .ADDER(ADDER)) u_accumulate (
          .enable(rst_n), .a(tree_sum), .b(tree_carry), .sum(next_psum)
        );
        assign psum_carry_out = {CARRY_WIDTH{1'b0}};
        wire unused_psum_carry_in = ^psum_carry_in;
      end else begin : gen_carry_save
        wire [ACCUMULATOR_WIDTH-1:0] next_carry;
        reg  [ACCUMULATOR_WIDTH-1:0] psum_carry_q;
        csa_tree #(.ROWS(4), .WIDTH(ACCUMULATOR_WIDTH)) u_join (
          .rows({addend_carry, addend, psum_carry_in, psum_in}), .sum(next_psum), .carry(next_carry)
        );
        always @(posedge clk) begin
          if (!rst_n) begin
            psum_carry_q <= {ACCUMULATOR_WIDTH{1'b0}};
          end else begin
            psum_carry_q <= next_carry;
          end
        end
        assign psum_carry_out = psum_carry_q;
      end
    end else begin : gen_error
`ifdef __ICARUS__
      error__PIPELINE_must_be__two_stage__high_radix__fused__or__carry_save u_error ();
`else
      $error("PIPELINE must be two_stage, high_radix, fused or carry_save");
`endif
    end
  endgenerate

  // An adder before it clears the sum already, and does so without lengthening the slowest path.
  always @(posedge clk) begin
    if (!rst_n && PIPELINE == "carry_save") begin
      psum_q <= {ACCUMULATOR_WIDTH{1'b0}};
    end else begin
      psum_q <= next_psum;
    end
  end
  assign psum_out = psum_q;
  assign activation_out = activation_q;

endmodule
