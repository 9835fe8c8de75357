// Floating-point weight-stationary multiply-accumulate unit: psum_out = psum_in + weight * activation, operands
// in half precision, sums in single precision, rounded once, to the nearest, ties to even.
//
// Structure: registers of weight and activation; unpacked forms of both in registers of their own, the weight's
//            filled when it is loaded; exact product in a register (fp16_product.v); adder in ADD_STAGES stages
//            (fp32_accumulate.v); register of the sum.
// Latency:   activation_in to psum_out 3 + ADD_STAGES clock edges; psum_in to psum_out ADD_STAGES.
//            weight_in counts from the second edge after weight_load on.
// Why:       what the integer MACs of mac.v have to be compared with: an exact product leaves the adder as the
//            only place that rounds, so that fused and separate operations agree bit for bit.
//
// Subnormal operands, products and sums are exact like all others; nothing is flushed to zero. Every NaN that
// comes out is 7fc00000. rst_n clears the operands and the sum; held for LATENCY edges, it empties the pipeline.
module fp_mac #(
  parameter ADD_STAGES         = 5,           // 1 ... 5
  parameter [127:0] MULTIPLIER = "dadda",     // of the significands: "dadda", "wallace", "array" or "booth"
  parameter [127:0] ADDER      = "sklansky"   // of significands, see adder.v
) (
  input  wire        clk,
  input  wire        rst_n,  // synchronous
  input  wire        weight_load,
  input  wire [15:0] weight_in,
  input  wire [15:0] activation_in,
  input  wire [31:0] psum_in,
  output wire [15:0] activation_out,
  output wire [31:0] psum_out
);

  reg [15:0] weight_q;
  reg [15:0] activation_q;
  reg [31:0] psum_q;

  always @(posedge clk) begin
    if (!rst_n) begin
      weight_q <= 16'd0;
    end else if (weight_load) begin
      weight_q <= weight_in;
    end
  end

  always @(posedge clk) begin
    if (!rst_n) begin
      activation_q <= 16'd0;
    end else begin
      activation_q <= activation_in;
    end
  end

  // {sign, exponent, significand, infinite, NaN} of both.
  wire [19:0] weight_unpacked;
  wire [19:0] activation_unpacked;
  fp16_unpack u_weight (
    .value(weight_q), .sign(weight_unpacked[19]), .exponent(weight_unpacked[18:13]),
    .significand(weight_unpacked[12:2]), .is_infinite(weight_unpacked[1]), .is_nan(weight_unpacked[0])
  );
  fp16_unpack u_activation (
    .value(activation_q), .sign(activation_unpacked[19]), .exponent(activation_unpacked[18:13]),
    .significand(activation_unpacked[12:2]), .is_infinite(activation_unpacked[1]),
    .is_nan(activation_unpacked[0])
  );
  wire [19:0] w;
  wire [19:0] x;
  pipeline_register #(.WIDTH(20)) u_weight_unpacked (.clk(clk), .d(weight_unpacked), .q(w));
  pipeline_register #(.WIDTH(20)) u_activation_unpacked (.clk(clk), .d(activation_unpacked), .q(x));

  wire        sign = w[19] ^ x[19];
  wire        is_infinite = w[1] | x[1];
  wire        is_nan = w[0] | x[0] | (w[1] & ~x[12] & ~x[1]) | (x[1] & ~w[12] & ~w[1]);
  wire [7:0]  exponent;
  wire [23:0] significand;
  fp16_product #(.MULTIPLIER(MULTIPLIER), .ADDER(ADDER)) u_product (
    .exponent_a(w[18:13]), .significand_a(w[12:2]), .exponent_b(x[18:13]), .significand_b(x[12:2]),
    .exponent(exponent), .significand(significand)
  );

  wire [34:0] product_q;
  pipeline_register #(.WIDTH(35)) u_product_register (
    .clk(clk), .d({sign, exponent, significand, is_infinite, is_nan}), .q(product_q)
  );

  wire [31:0] next_psum;
  fp32_accumulate #(.STAGES(ADD_STAGES), .ADDER(ADDER)) u_accumulate (
    .clk(clk), .sign_a(product_q[34]), .exponent_a(product_q[33:26]), .significand_a(product_q[25:2]),
    .infinite_a(product_q[1]), .nan_a(product_q[0]), .b(psum_in), .sum(next_psum)
  );

  always @(posedge clk) begin
    if (!rst_n) begin
      psum_q <= 32'd0;
    end else begin
      psum_q <= next_psum;
    end
  end

  assign activation_out = activation_q;
  assign psum_out = psum_q;

endmodule
