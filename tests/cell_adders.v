// Multiplier with registers, made of a library's own full adders, half adders and multiplexers.
//
// Mappers take single-output cells only; this is where simulations meet cells with two outputs, and a
// multiplexer whose select moves. The activation's magnitude comes from half adders and multiplexers, its bits
// gate the weight in rows of ripple adders, low rows first, and the sign is applied to the sum at the end. The
// long carries make glitches in plenty. full_adder, half_adder and mux2 wrap one cell each and are written for
// the library at hand.
module cell_adders #(
  parameter integer WIDTH = 8
) (
  input  wire                 clk,
  input  wire                 weight_load,
  input  wire [WIDTH-1:0]     weight_in,
  input  wire [WIDTH-1:0]     activation_in,
  output wire [2*WIDTH-1:0]   product_out
);
  localparam integer OUT = 2 * WIDTH;

  reg [WIDTH-1:0] weight;
  reg [WIDTH-1:0] activation;
  reg [OUT-1:0]   product;

  wire [WIDTH-1:0] opposite;
  wire [WIDTH:0]   opposite_carry;
  wire [WIDTH-1:0] magnitude;
  wire [OUT-1:0]   extended = {{WIDTH{weight[WIDTH-1]}}, weight};
  wire [OUT-1:0]   sum [0:WIDTH-1];
  wire [OUT-1:0]   last = sum[WIDTH-1];
  wire [OUT-1:0]   signed_sum;
  wire [OUT:0]     sign_carry;
  wire             sign = activation[WIDTH-1];

  genvar row, bit_index;

  assign opposite_carry[0] = 1'b1;
  generate
    for (bit_index = 0; bit_index < WIDTH; bit_index = bit_index + 1) begin : g_magnitude
      half_adder u_opposite (
        .a(~activation[bit_index]), .b(opposite_carry[bit_index]),
        .s(opposite[bit_index]), .c(opposite_carry[bit_index+1])
      );
      if (bit_index < WIDTH - 1) begin : g_select
        mux2 u_magnitude (
          .a(activation[bit_index]), .b(opposite[bit_index]), .select(sign), .y(magnitude[bit_index])
        );
      end else begin : g_sign_bit
        assign magnitude[bit_index] = sign & opposite[bit_index];
      end
    end

    assign sum[0] = extended & {OUT{magnitude[0]}};
    for (row = 1; row < WIDTH; row = row + 1) begin : g_row
      wire [OUT-1:0] addend = (extended & {OUT{magnitude[row]}}) << row;
      wire [OUT:row] carry;
      assign sum[row][row-1:0] = sum[row-1][row-1:0];
      half_adder u_first (
        .a(sum[row-1][row]), .b(addend[row]), .s(sum[row][row]), .c(carry[row+1])
      );
      for (bit_index = row + 1; bit_index < OUT; bit_index = bit_index + 1) begin : g_bit
        full_adder u_add (
          .a(sum[row-1][bit_index]), .b(addend[bit_index]), .ci(carry[bit_index]),
          .s(sum[row][bit_index]), .co(carry[bit_index+1])
        );
      end
    end

    assign sign_carry[0] = sign;
    for (bit_index = 0; bit_index < OUT; bit_index = bit_index + 1) begin : g_sign
      half_adder u_sign (
        .a(last[bit_index] ^ sign), .b(sign_carry[bit_index]),
        .s(signed_sum[bit_index]), .c(sign_carry[bit_index+1])
      );
    end
  endgenerate

  always @(posedge clk) begin
    if (weight_load) weight <= weight_in;
    activation <= activation_in;
    product <= signed_sum;
  end

  assign product_out = product;
endmodule
