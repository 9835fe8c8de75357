// Multiplier chosen by name, with one interface for the whole family.
//
// Structure: one of the mult_* modules; see there. The weight comes in the form of weight_encoder.v.
// Latency:   combinational.
// Why:       mac.v, the flow and the benches treat every structure alike.
//
// Output: RESOLVE = 1: sum is the product (two's complement when SIGNED; {sign, magnitude} for signed
//         sign_magnitude), carry = 0.
//         RESOLVE = 0: a carry-save pair: sum + carry = product + offset, exactly; offset is 2^(PRODUCT_WIDTH-1)
//         for structures with signs in their rows (SIGNED, and always booth), else 0; mac.v takes it off.
//         "booth_stored", "split", "one_digit" and "two_row" are folded: their product lacks the constant of
//         fold_constant.v, is never negative, and has no offset.
module multiplier #(
  parameter WEIGHT_WIDTH       = 8,
  parameter ACTIVATION_WIDTH   = 8,
  parameter SIGNED             = 1,
  parameter [127:0] MULTIPLIER = "array",
  parameter [127:0] ADDER      = "kogge_stone",
  parameter [127:0] ROW_ORDER  = "low_first",
  parameter [127:0] RECODE     = "weight",
  parameter RESOLVE            = 1,
  parameter CODE_WIDTH         = WEIGHT_WIDTH,  // see mac.v
  // Derived, not to be set.
  parameter PRODUCT_WIDTH      = WEIGHT_WIDTH + ACTIVATION_WIDTH + ((SIGNED != 0) ? 0 : 1)
) (
  input  wire [CODE_WIDTH-1:0]       code,
  input  wire [ACTIVATION_WIDTH-1:0] activation,
  output wire [PRODUCT_WIDTH-1:0]    sum,
  output wire [PRODUCT_WIDTH-1:0]    carry
);

  localparam W = WEIGHT_WIDTH;
  localparam A = ACTIVATION_WIDTH;
  localparam P = W + A;
  localparam PLAIN = MULTIPLIER == "array" || MULTIPLIER == "wallace" || MULTIPLIER == "dadda" ||
                     MULTIPLIER == "sign_magnitude";

  generate
    if (MULTIPLIER == "array") begin : gen_array
      mult_array #(
        .WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED), .ADDER(ADDER), .ROW_ORDER(ROW_ORDER),
        .RESOLVE(RESOLVE)
      ) u_mult (.weight(code), .activation(activation), .sum(sum[P-1:0]), .carry(carry[P-1:0]));
    end else if (MULTIPLIER == "wallace") begin : gen_wallace
      mult_wallace #(
        .WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED), .ADDER(ADDER), .RESOLVE(RESOLVE)
      ) u_mult (.weight(code), .activation(activation), .sum(sum[P-1:0]), .carry(carry[P-1:0]));
    end else if (MULTIPLIER == "dadda") begin : gen_dadda
      mult_dadda #(
        .WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED), .ADDER(ADDER), .RESOLVE(RESOLVE)
      ) u_mult (.weight(code), .activation(activation), .sum(sum[P-1:0]), .carry(carry[P-1:0]));
    end else if (MULTIPLIER == "sign_magnitude") begin : gen_sign_magnitude
      mult_sign_magnitude #(
        .WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED), .ADDER(ADDER), .RESOLVE(RESOLVE)
      ) u_mult (.code(code), .activation(activation), .sum(sum[P-1:0]), .carry(carry[P-1:0]));
    end else if (MULTIPLIER == "booth") begin : gen_booth
      mult_booth #(
        .WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED), .ADDER(ADDER), .RECODE(RECODE),
        .RESOLVE(RESOLVE)
      ) u_mult (.weight(code), .activation(activation), .sum(sum), .carry(carry));
    end else if (MULTIPLIER == "booth_stored") begin : gen_booth_stored
      mult_booth_stored #(
        .WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED), .ADDER(ADDER), .BYPASS("none"),
        .RESOLVE(RESOLVE)
      ) u_mult (.digits(code), .select(1'b0), .activation(activation), .sum(sum), .carry(carry));
    end else if (MULTIPLIER == "one_digit" || MULTIPLIER == "two_row") begin : gen_bypass
      mult_booth_stored #(
        .WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED), .ADDER(ADDER), .BYPASS(MULTIPLIER),
        .RESOLVE(RESOLVE)
      ) u_mult (
        .digits(code[CODE_WIDTH-2:0]), .select(code[CODE_WIDTH-1]), .activation(activation),
        .sum(sum), .carry(carry)
      );
    end else if (MULTIPLIER == "split") begin : gen_split
      mult_split #(
        .WEIGHT_WIDTH(W), .ACTIVATION_WIDTH(A), .SIGNED(SIGNED), .ADDER(ADDER), .RESOLVE(RESOLVE)
      ) u_mult (.digits(code), .activation(activation), .sum(sum), .carry(carry));
    end else begin : gen_error
`ifdef __ICARUS__  // has no elaboration tasks, but prints the name of a missing module
      error__MULTIPLIER_must_be__array__wallace__dadda__booth__booth_stored__split__sign_magnitude__one_digit__or__two_row u_error ();
`else
      $error("MULTIPLIER must be array, wallace, dadda, booth, booth_stored, split, sign_magnitude, ",
             "one_digit or two_row");
`endif
    end
    if (PLAIN && PRODUCT_WIDTH > P) begin : gen_top
      assign sum[PRODUCT_WIDTH-1:P] = 1'b0;
      assign carry[PRODUCT_WIDTH-1:P] = 1'b0;
    end
  endgenerate

endmodule
