// Multiplier chosen by name, with one interface for the whole family.
//
// Structure: one of the mult_* modules; see there.
// Latency:   combinational.
// Why:       mac.v, the flow and the benches treat every structure alike.
//
// Output: RESOLVE = 1: sum = product (two's complement when SIGNED), carry = 0.
//         RESOLVE = 0: a carry-save pair: sum + carry = product + offset, exactly, where offset is
//         2^(PRODUCT_WIDTH-1) for structures with signs in their rows (mac.v takes it off again), else 0.
module multiplier #(
  parameter WEIGHT_WIDTH     = 8,
  parameter ACTIVATION_WIDTH = 8,
  parameter SIGNED           = 1,
  parameter [127:0] MULTIPLIER       = "array",
  parameter [127:0] ADDER            = "kogge_stone",
  parameter [127:0] ROW_ORDER        = "low_first",
  parameter [127:0] RECODE           = "weight",
  parameter RESOLVE          = 1,
  // Derived, not to be set.
  parameter PRODUCT_WIDTH    = WEIGHT_WIDTH + ACTIVATION_WIDTH + ((SIGNED != 0) ? 0 : 1)
) (
  input  wire [WEIGHT_WIDTH-1:0]     weight,
  input  wire [ACTIVATION_WIDTH-1:0] activation,
  output wire [PRODUCT_WIDTH-1:0]    sum,
  output wire [PRODUCT_WIDTH-1:0]    carry
);

  localparam P = WEIGHT_WIDTH + ACTIVATION_WIDTH;

  generate
    if (MULTIPLIER == "array") begin : gen_array
      mult_array #(
        .WEIGHT_WIDTH(WEIGHT_WIDTH), .ACTIVATION_WIDTH(ACTIVATION_WIDTH), .SIGNED(SIGNED),
        .ADDER(ADDER), .ROW_ORDER(ROW_ORDER), .RESOLVE(RESOLVE)
      ) u_mult (.weight(weight), .activation(activation), .sum(sum[P-1:0]), .carry(carry[P-1:0]));
    end else if (MULTIPLIER == "booth") begin : gen_booth
      mult_booth #(
        .WEIGHT_WIDTH(WEIGHT_WIDTH), .ACTIVATION_WIDTH(ACTIVATION_WIDTH), .SIGNED(SIGNED),
        .ADDER(ADDER), .RECODE(RECODE), .RESOLVE(RESOLVE)
      ) u_mult (.weight(weight), .activation(activation), .sum(sum), .carry(carry));
    end else begin : gen_error
`ifdef __ICARUS__  // has no elaboration tasks, but prints the name of a missing module
      error__MULTIPLIER_must_be__array__or__booth u_error ();
`else
      $error("MULTIPLIER must be array or booth");
`endif
    end
    if (MULTIPLIER != "booth" && PRODUCT_WIDTH > P) begin : gen_top
      assign sum[PRODUCT_WIDTH-1:P] = 1'b0;
      assign carry[PRODUCT_WIDTH-1:P] = 1'b0;
    end
  endgenerate

endmodule
