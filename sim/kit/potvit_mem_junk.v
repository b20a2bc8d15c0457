// The memory of hw/lib/potvit_mem.v with its contract taken at its word: reading an address in the
// cycle in which it is written answers junk, another junk each time, and never the old or the new
// word. Unit benches run on it, so that a design that uses such a word fails its comparisons.
module potvit_mem_1r1w #(
    parameter WIDTH = 8,
    parameter DEPTH = 2,
    parameter ADDR = DEPTH <= 2 ? 1 : $clog2(DEPTH)
) (
    input  wire             clk,
    input  wire             rd_en,
    input  wire [ADDR-1:0]  rd_addr,
    output reg  [WIDTH-1:0] rd_data,
    input  wire             wr_en,
    input  wire [ADDR-1:0]  wr_addr,
    input  wire [WIDTH-1:0] wr_data
);
    reg [WIDTH-1:0] words [0:DEPTH-1];
    reg turn = 0;

    // Where old and new word agree, the opposite; where they differ, a stripe of both.
    wire [WIDTH-1:0] old_word = words[rd_addr];
    wire [WIDTH-1:0] differ = old_word ^ wr_data;
    wire [WIDTH-1:0] stripe = {(WIDTH + 1) / 2{turn ? 2'b10 : 2'b01}};
    wire [WIDTH-1:0] junk = ~differ & ~old_word | differ & stripe;

    always @(posedge clk) begin
        if (rd_en) rd_data <= wr_en && wr_addr == rd_addr ? junk : old_word;
        if (rd_en && wr_en && wr_addr == rd_addr) turn <= ~turn;
    end

    always @(posedge clk) begin
        if (wr_en) words[wr_addr] <= wr_data;
    end
endmodule
