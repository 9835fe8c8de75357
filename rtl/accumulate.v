// Adder with a clear: sum = a + b (mod 2^WIDTH) while `enable` is 1, else 0.
//
// Structure: both operands gated, then an adder, see adder.v.
// Latency:   combinational.
// Why:       a reset behind the adder lengthens the slowest path by a gate; in front of it, it becomes a third
//            input of gates that are there anyway, and holds still while the MAC computes.
module accumulate #(
  parameter WIDTH         = 24,
  parameter [127:0] ADDER = "kogge_stone"
) (
  input  wire             enable,
  input  wire [WIDTH-1:0] a,
  input  wire [WIDTH-1:0] b,
  output wire [WIDTH-1:0] sum
);

  adder #(.WIDTH(WIDTH), .ADDER(ADDER)) u_adder (
    .a(a & {WIDTH{enable}}), .b(b & {WIDTH{enable}}), .sum(sum)
  );

endmodule
