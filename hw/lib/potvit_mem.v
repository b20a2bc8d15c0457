// The one memory of PoTViT: a synchronous read port and a write port on one clock.
//
// Contract, for whoever replaces it by a macro: rd_data shows the word one cycle after rd_en and
// holds it until the next rd_en; reading an address in the cycle it is written gives an undefined
// word (and the design never uses one); contents are undefined until written; no reset.
// Every potvit.v brings it along; two of them in one design share it.
`ifndef POTVIT_MEM_1R1W
`define POTVIT_MEM_1R1W
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

    always @(posedge clk) begin
        if (rd_en) rd_data <= words[rd_addr];
    end

    always @(posedge clk) begin
        if (wr_en) words[wr_addr] <= wr_data;
    end
endmodule
`endif
