// Simulation model of a DRAM behind an AXI4 port, with backdoor load and dump.
//
// Reads answer in order, LATENCY cycles after their address, one beat per cycle; up to QUEUE
// bursts wait. With `stall_rate` > 0 every channel pauses at random: in a cycle with probability
// stall_rate/256. The rules of the bus are checked all the time; the first broken one is kept
// in `violation`:
//   1 burst crosses 4 KB        2 not INCR or not full width    3 unaligned address
//   4 outside the memory        5 AR changed while waiting      6 AW changed while waiting
//   7 W changed while waiting   8 WLAST at the wrong beat       9 W without a burst
//  10 undefined write strobes (a beat is written whole or not at all)
//  11 outside the fence: `fence_first` to `fence_last`, bytes (nothing if the last is the lower)
// `fault` injects a response on the burst that covers byte address `fault_addr`.
module potvit_dram #(
    parameter BYTES = 32,
    parameter ADDR = 40,
    parameter WORDS = 1 << 20,
    parameter LATENCY = 30,
    parameter QUEUE = 16
) (
    input  wire clk,
    input  wire rst,
    input  wire [7:0] stall_rate,
    input  wire [31:0] stall_seed,
    input  wire [1:0] fault,
    input  wire [ADDR-1:0] fault_addr,
    input  wire [ADDR-1:0] fence_first,
    input  wire [ADDR-1:0] fence_last,
    output reg  [7:0] violation,

    input  wire load,
    input  wire dump,
    input  wire [31:0] first,
    input  wire [31:0] count,

    input  wire [ADDR-1:0] araddr,
    input  wire [7:0] arlen,
    input  wire [2:0] arsize,
    input  wire [1:0] arburst,
    input  wire arvalid,
    output wire arready,
    output wire [8*BYTES-1:0] rdata,
    output wire [1:0] rresp,
    output wire rlast,
    output wire rvalid,
    input  wire rready,

    input  wire [ADDR-1:0] awaddr,
    input  wire [7:0] awlen,
    input  wire [2:0] awsize,
    input  wire [1:0] awburst,
    input  wire awvalid,
    output wire awready,
    input  wire [8*BYTES-1:0] wdata,
    input  wire [BYTES-1:0] wstrb,
    input  wire wlast,
    input  wire wvalid,
    output wire wready,
    output wire [1:0] bresp,
    output wire bvalid,
    input  wire bready
);
    localparam SHIFT = $clog2(BYTES);
    localparam QB = $clog2(QUEUE);

    reg [8*BYTES-1:0] mem [0:WORDS-1];

    // Backdoor: the files hold words with their bytes reversed ($fread is big-endian).
    integer file;
    integer got;
    always @(posedge load) begin
        file = $fopen("load.bin", "rb");
        got = $fread(mem, file, first, count);
        $fclose(file);
    end
    always @(posedge dump) $writememh("dump.hex", mem, first, first + count - 1);

    // Pauses, one pseudo-random byte per channel and cycle.
    reg [63:0] noise;
    wire [4:0] open;
    genvar i;
    generate
        for (i = 0; i < 5; i = i + 1) begin : pause
            assign open[i] = noise[12*i +: 8] >= stall_rate;
        end
    endgenerate
    always @(posedge clk)
        if (rst) noise <= {32'h9e3779b9, stall_seed} | 64'd1;
        else noise <= {noise[62:0], noise[63] ^ noise[62] ^ noise[60] ^ noise[59]}
                      ^ {noise[12:0], 51'd0} ^ (noise >> 7);

    function automatic [7:0] check(input [ADDR-1:0] addr, input [7:0] len, input [2:0] size,
                                   input [1:0] burst);
        reg [ADDR:0] last;
        begin
            last = addr + ((len + 1) << SHIFT) - 1;
            check = 0;
            if (burst != 2'b01 || size != SHIFT) check = 2;
            else if (addr[SHIFT-1:0] != 0) check = 3;
            else if ((last >> 12) != (addr >> 12)) check = 1;
            else if ((last >> SHIFT) >= WORDS) check = 4;
            else if (addr < fence_first || last > fence_last) check = 11;
        end
    endfunction

    function automatic hit(input [ADDR-1:0] addr, input [7:0] len);
        hit = fault != 0 && fault_addr >= addr && fault_addr < addr + ((len + 1) << SHIFT);
    endfunction

    reg [31:0] now;
    always @(posedge clk) now <= rst ? 0 : now + 1;

    // Reads.
    reg [ADDR-SHIFT-1:0] r_word [0:QUEUE-1];
    reg [7:0] r_len [0:QUEUE-1];
    reg [31:0] r_time [0:QUEUE-1];
    reg r_bad [0:QUEUE-1];
    reg [QB:0] r_in, r_out;
    reg [7:0] r_beat;
    reg r_shown;
    wire r_any = r_in != r_out;
    wire [QB-1:0] r_head = r_out[QB-1:0];
    wire r_due = r_any && $signed(now - r_time[r_head]) >= 0;
    assign arready = open[0] && (r_in - r_out) != QUEUE;
    assign rvalid = r_due && (open[1] || r_shown);
    assign rdata = mem[r_word[r_head] + r_beat];
    assign rlast = r_beat == r_len[r_head];
    assign rresp = r_bad[r_head] ? fault : 2'b00;

    // Writes.
    reg [ADDR-SHIFT-1:0] w_word [0:QUEUE-1];
    reg [7:0] w_len [0:QUEUE-1];
    reg w_bad [0:QUEUE-1];
    reg [QB:0] w_in, w_out, b_in, b_out;
    reg b_bad [0:QUEUE-1];
    reg [7:0] w_beat;
    reg b_shown;
    wire w_any = w_in != w_out;
    wire [QB-1:0] w_head = w_out[QB-1:0];
    assign awready = open[2] && (w_in - w_out) != QUEUE && (b_in - b_out) < QUEUE - 1;
    assign wready = open[3] && w_any && (b_in - b_out) < QUEUE - 1;
    assign bvalid = b_in != b_out && (open[4] || b_shown);
    assign bresp = b_bad[b_out[QB-1:0]] ? fault : 2'b00;

    // Last cycle's waiting payloads.
    reg ar_wait, aw_wait, w_wait;
    reg [ADDR+12:0] ar_held, aw_held;
    reg [9*BYTES:0] w_held;

    reg [7:0] broken;
    always @* begin
        broken = 0;
        if (wvalid && wready && !(&wstrb) && |wstrb) broken = 10;
        if (wvalid && wready && (wlast != (w_beat == w_len[w_head]))) broken = 8;
        if (wvalid && !w_any && !awvalid) broken = 9;
        if (arvalid && arready && check(araddr, arlen, arsize, arburst) != 0)
            broken = check(araddr, arlen, arsize, arburst);
        if (awvalid && awready && check(awaddr, awlen, awsize, awburst) != 0)
            broken = check(awaddr, awlen, awsize, awburst);
        if (ar_wait && (!arvalid || ar_held != {araddr, arlen, arsize, arburst})) broken = 5;
        if (aw_wait && (!awvalid || aw_held != {awaddr, awlen, awsize, awburst})) broken = 6;
        if (w_wait && (!wvalid || w_held != {wdata, wstrb, wlast})) broken = 7;
    end

    integer lane;
    always @(posedge clk) begin
        if (rst) begin
            {r_in, r_out, w_in, w_out, b_in, b_out} <= 0;
            {r_beat, w_beat, r_shown, b_shown, ar_wait, aw_wait, w_wait} <= 0;
            violation <= 0;
        end else begin
            if (violation == 0) violation <= broken;
            ar_wait <= arvalid && !arready;
            aw_wait <= awvalid && !awready;
            w_wait <= wvalid && !wready;
            ar_held <= {araddr, arlen, arsize, arburst};
            aw_held <= {awaddr, awlen, awsize, awburst};
            w_held <= {wdata, wstrb, wlast};
            if (arvalid && arready) begin
                r_word[r_in[QB-1:0]] <= araddr >> SHIFT;
                r_len[r_in[QB-1:0]] <= arlen;
                r_time[r_in[QB-1:0]] <= now + LATENCY;
                r_bad[r_in[QB-1:0]] <= hit(araddr, arlen);
                r_in <= r_in + 1;
            end
            r_shown <= rvalid && !rready;
            if (rvalid && rready) begin
                r_beat <= rlast ? 0 : r_beat + 1;
                if (rlast) r_out <= r_out + 1;
            end
            if (awvalid && awready) begin
                w_word[w_in[QB-1:0]] <= awaddr >> SHIFT;
                w_len[w_in[QB-1:0]] <= awlen;
                w_bad[w_in[QB-1:0]] <= hit(awaddr, awlen);
                w_in <= w_in + 1;
            end
            if (wvalid && wready) begin
                for (lane = 0; lane < BYTES; lane = lane + 1)
                    if (wstrb[lane]) mem[w_word[w_head] + w_beat][8*lane +: 8] <= wdata[8*lane +: 8];
                w_beat <= wlast ? 0 : w_beat + 1;
                if (wlast) begin
                    w_out <= w_out + 1;
                    b_bad[b_in[QB-1:0]] <= w_bad[w_head];
                    b_in <= b_in + 1;
                end
            end
            b_shown <= bvalid && !bready;
            if (bvalid && bready) b_out <= b_out + 1;
        end
    end
endmodule
