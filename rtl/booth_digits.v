// Recodes a weight into the fewest radix-4 digits -2 … 2.
//
// Structure: a carry ripples from digit to digit. Two bits and the carry make v = 0 … 4; 3 becomes -1 and 4
//            becomes 0 with a carry, and 2 becomes -2 with a carry if the next bit is set, else 2. That choice
//            never costs a digit: an odd next pair gains or keeps its count by the carry, an even one by its
//            absence. The top digit takes the sign.
// Latency:   combinational, rippling over the digits; it runs once per weight load, off the MAC's path.
// Why:       Booth's fixed table writes 2 as 4 - 2. Here every power of two and its negative is one digit, and
//            a multiple of 4^k leaves the k low digits zero.
module booth_digits #(
  parameter WEIGHT_WIDTH = 8,
  parameter SIGNED       = 1,
  // Derived, not to be set.
  parameter DIGITS       = (SIGNED != 0) ? (WEIGHT_WIDTH + 1) / 2 : WEIGHT_WIDTH / 2 + 1
) (
  input  wire [WEIGHT_WIDTH-1:0] weight,
  output wire [DIGITS-1:0]       one,      // magnitude of digit i is 1
  output wire [DIGITS-1:0]       two,      // magnitude of digit i is 2
  output wire [DIGITS-1:0]       negative  // digit i is below zero
);

  wire [2*DIGITS-1:0] padded;
  extend #(.IN_WIDTH(WEIGHT_WIDTH), .OUT_WIDTH(2 * DIGITS)) u_extend (
    .in(weight), .fill((SIGNED != 0) ? weight[WEIGHT_WIDTH-1] : 1'b0), .out(padded)
  );

  genvar i;
  generate
    for (i = 0; i < DIGITS; i = i + 1) begin : gen_digit
      wire high = padded[2*i+1];
      wire low = padded[2*i];
      wire carry;
      if (i == 0) begin : gen_first
        assign carry = 1'b0;
      end else begin : gen_next
        assign carry = gen_digit[i-1].gen_low.carry_out;
      end
      assign one[i] = low ^ carry;
      if (i < DIGITS - 1) begin : gen_low
        wire is_two = (high & ~low & ~carry) | (~high & low & carry);
        wire carry_out = (high & (low | carry)) | (is_two & padded[2*i+2]);
        assign two[i] = is_two;
        assign negative[i] = carry_out & (one[i] | two[i]);
      end else begin : gen_top
        assign two[i] = (high & ~low & ~carry) | (~high & low & carry);
        assign negative[i] = high & (one[i] | two[i]);
      end
    end
  endgenerate

endmodule
