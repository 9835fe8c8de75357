// Adder chosen by name: sum = enable ? a + b : 0 (mod 2^WIDTH).
//
// Structure: one of the adder_* modules; see there. The fast ones have the clear inside, for the others both operands
//            are gated.
// Latency:   combinational.
// Why:       multipliers and accumulators name their adder in a parameter instead of a module. A reset behind the
//            adder lengthens the slowest path by a gate; in front of it, it becomes a third input of gates that are
//            there anyway, and holds still while the MAC computes.
module adder #(
  parameter WIDTH = 16,
  parameter [127:0] ADDER = "kogge_stone"  // "ripple", "brent_kung", "kogge_stone" or "sklansky"
) (
  input  wire             enable,
  input  wire [WIDTH-1:0] a,
  input  wire [WIDTH-1:0] b,
  output wire [WIDTH-1:0] sum
);

  generate
    if (ADDER == "ripple") begin : gen_ripple
      adder_ripple #(.WIDTH(WIDTH)) u_adder (
        .a(a & {WIDTH{enable}}), .b(b & {WIDTH{enable}}), .sum(sum)
      );
    end else if (ADDER == "brent_kung") begin : gen_brent_kung
      adder_brent_kung #(.WIDTH(WIDTH)) u_adder (
        .a(a & {WIDTH{enable}}), .b(b & {WIDTH{enable}}), .sum(sum)
      );
    end else if (ADDER == "kogge_stone") begin : gen_kogge_stone
      adder_kogge_stone #(.WIDTH(WIDTH)) u_adder (.enable(enable), .a(a), .b(b), .sum(sum));
    end else if (ADDER == "sklansky") begin : gen_sklansky
      adder_sklansky #(.WIDTH(WIDTH)) u_adder (.enable(enable), .a(a), .b(b), .sum(sum));
    end else begin : gen_error
`ifdef __ICARUS__  // has no elaboration tasks, but prints the name of a missing module
      error__ADDER_must_be__ripple__brent_kung__kogge_stone__or__sklansky u_error ();
`else
      $error("ADDER must be ripple, brent_kung, kogge_stone or sklansky");
`endif
    end
  endgenerate

endmodule
