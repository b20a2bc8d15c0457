// Sums of products and addends as columns of POTVIT_ADD, one bit of an adder each.
//
// Every operand becomes bits of weight 2**column; what is negative (sign bits, negated operands)
// becomes the inverted bit and a constant: -b = ~b - 1. In each column three bits at a time become
// one, with a carry to the next column, oldest first, so there is at most one half adder a
// column. Known bits cost nothing: they go into the constant.

(* techmap_celltype = "$macc_v2" *)
module potvit_dot_product (A, B, C, Y);
    parameter NPRODUCTS = 0;
    parameter NADDENDS = 0;
    parameter A_WIDTHS = 16'h0000;
    parameter B_WIDTHS = 16'h0000;
    parameter C_WIDTHS = 16'h0000;
    parameter Y_WIDTH = 0;
    parameter PRODUCT_NEGATED = 1'b0;
    parameter ADDEND_NEGATED = 1'b0;
    parameter A_SIGNED = 1'b0;
    parameter B_SIGNED = 1'b0;
    parameter C_SIGNED = 1'b0;

    // Sum of the first `count` of packed 16-bit widths.
    function integer below;
        input [16*(NPRODUCTS+NADDENDS+1)-1:0] widths;
        input integer count;
        integer n;
        begin
            below = 0;
            for (n = 0; n < count; n = n + 1) below = below + widths[16*n+:16];
        end
    endfunction

    // Number of bits of the first `count` products.
    function integer bits_below;
        input integer count;
        integer n;
        begin
            bits_below = 0;
            for (n = 0; n < count; n = n + 1)
                bits_below = bits_below + A_WIDTHS[16*n+:16] * B_WIDTHS[16*n+:16];
        end
    endfunction

    localparam A_ALL = below(A_WIDTHS, NPRODUCTS);
    localparam B_ALL = below(B_WIDTHS, NPRODUCTS);
    localparam C_ALL = below(C_WIDTHS, NADDENDS);
    localparam PRODUCT_BITS = bits_below(NPRODUCTS);
    localparam BITS = PRODUCT_BITS + C_ALL;
    input [A_ALL-1:0] A;
    input [B_ALL-1:0] B;
    input [C_ALL-1:0] C;
    output [Y_WIDTH-1:0] Y;
    parameter _TECHMAP_CONSTMSK_A_ = 0;
    parameter _TECHMAP_CONSTVAL_A_ = 0;
    parameter _TECHMAP_CONSTMSK_B_ = 0;
    parameter _TECHMAP_CONSTVAL_B_ = 0;
    parameter _TECHMAP_CONSTMSK_C_ = 0;
    parameter _TECHMAP_CONSTVAL_C_ = 0;

    // Where things are in LAYOUT: per bit its place in its column (UNUSED: nowhere), per column
    // the number of bits, the constant.
    localparam UNUSED = 16'hFFFF;
    localparam COUNTS = 16 * BITS;
    localparam CONSTANT = COUNTS + 16 * Y_WIDTH;
    localparam LAYOUT_BITS = CONSTANT + Y_WIDTH;

    function [LAYOUT_BITS-1:0] layout;
        input integer unused;
        integer p, i, j, at, ai, bi, aw, bw, column;
        reg negative, zero, one, flip;
        reg [Y_WIDTH-1:0] constant;
        begin
            layout = 0;
            constant = 0;
            at = 0;
            ai = 0;
            bi = 0;
            for (p = 0; p < NPRODUCTS; p = p + 1) begin
                aw = A_WIDTHS[16*p+:16];
                bw = B_WIDTHS[16*p+:16];
                for (j = 0; j < bw; j = j + 1)
                    for (i = 0; i < aw; i = i + 1) begin
                        column = i + j;
                        flip = PRODUCT_NEGATED[p]
                            ^ (A_SIGNED[p] & ((i == aw - 1) != (j == bw - 1)));
                        zero = (_TECHMAP_CONSTMSK_A_[ai+i] & ~_TECHMAP_CONSTVAL_A_[ai+i])
                            | (_TECHMAP_CONSTMSK_B_[bi+j] & ~_TECHMAP_CONSTVAL_B_[bi+j]);
                        one = _TECHMAP_CONSTMSK_A_[ai+i] & _TECHMAP_CONSTVAL_A_[ai+i]
                            & _TECHMAP_CONSTMSK_B_[bi+j] & _TECHMAP_CONSTVAL_B_[bi+j];
                        layout[16*at+:16] = UNUSED;
                        if (column < Y_WIDTH) begin
                            if (one) begin
                                constant = flip ? constant - ({{Y_WIDTH{1'b0}}, 1'b1} << column)
                                    : constant + ({{Y_WIDTH{1'b0}}, 1'b1} << column);
                            end else if (!zero) begin
                                if (flip)
                                    constant = constant - ({{Y_WIDTH{1'b0}}, 1'b1} << column);
                                layout[16*at+:16] = layout[COUNTS+16*column+:16];
                                layout[COUNTS+16*column+:16] =
                                    layout[COUNTS+16*column+:16] + 1;
                            end
                        end
                        at = at + 1;
                    end
                ai = ai + aw;
                bi = bi + bw;
            end
            ai = 0;
            for (p = 0; p < NADDENDS; p = p + 1) begin
                aw = C_WIDTHS[16*p+:16];
                for (i = 0; i < aw; i = i + 1) begin
                    flip = ADDEND_NEGATED[p] ^ (C_SIGNED[p] & (i == aw - 1));
                    layout[16*at+:16] = UNUSED;
                    if (i < Y_WIDTH) begin
                        if (_TECHMAP_CONSTMSK_C_[ai+i]) begin
                            if (_TECHMAP_CONSTVAL_C_[ai+i])
                                constant = flip ? constant - ({{Y_WIDTH{1'b0}}, 1'b1} << i)
                                    : constant + ({{Y_WIDTH{1'b0}}, 1'b1} << i);
                        end else begin
                            if (flip)
                                constant = constant - ({{Y_WIDTH{1'b0}}, 1'b1} << i);
                            layout[16*at+:16] = layout[COUNTS+16*i+:16];
                            layout[COUNTS+16*i+:16] = layout[COUNTS+16*i+:16] + 1;
                        end
                    end
                    at = at + 1;
                end
                ai = ai + aw;
            end
            layout[CONSTANT+:Y_WIDTH] = constant;
        end
    endfunction
    localparam [LAYOUT_BITS-1:0] LAYOUT = layout(0);

    // Bits of a column with the constant's (the last of them) and the carries that come in.
    function [16*Y_WIDTH-1:0] totals;
        input integer unused;
        integer c, carries;
        begin
            carries = 0;
            for (c = 0; c < Y_WIDTH; c = c + 1) begin
                totals[16*c+:16] = LAYOUT[COUNTS+16*c+:16] + LAYOUT[CONSTANT+c] + carries;
                carries = totals[16*c+:16] / 2;
            end
        end
    endfunction
    localparam [16*Y_WIDTH-1:0] TOTALS = totals(0);

    function integer largest;
        input integer unused;
        integer c;
        begin
            largest = 1;
            for (c = 0; c < Y_WIDTH; c = c + 1)
                if (TOTALS[16*c+:16] > largest) largest = TOTALS[16*c+:16];
        end
    endfunction
    localparam SIZE = 2 * largest(0);

    wire [SIZE*(Y_WIDTH+1)-1:0] queue;  // of each column: its bits, carries in, partial sums
    genvar p, i, j;
    generate
        for (p = 0; p < NPRODUCTS; p = p + 1) begin : products
            localparam AW = A_WIDTHS[16*p+:16], BW = B_WIDTHS[16*p+:16];
            localparam AI = below(A_WIDTHS, p), BI = below(B_WIDTHS, p), AT = bits_below(p);
            for (j = 0; j < BW; j = j + 1) begin : rows
                for (i = 0; i < AW; i = i + 1) begin : bits
                    localparam [15:0] PLACE = LAYOUT[16*(AT+j*AW+i)+:16];
                    localparam FLIP = PRODUCT_NEGATED[p]
                        ^ (A_SIGNED[p] & ((i == AW - 1) != (j == BW - 1)));
                    if (PLACE != UNUSED)
                        assign queue[(i+j)*SIZE+PLACE] = (A[AI+i] & B[BI+j]) ^ FLIP;
                end
            end
        end
        for (p = 0; p < NADDENDS; p = p + 1) begin : addends
            localparam AW = C_WIDTHS[16*p+:16], AI = below(C_WIDTHS, p);
            for (i = 0; i < AW; i = i + 1) begin : bits
                localparam [15:0] PLACE = LAYOUT[16*(PRODUCT_BITS+AI+i)+:16];
                if (PLACE != UNUSED)
                    assign queue[i*SIZE+PLACE] =
                        C[AI+i] ^ (ADDEND_NEGATED[p] ^ (C_SIGNED[p] & (i == AW - 1)));
            end
        end
        for (j = 0; j < Y_WIDTH; j = j + 1) begin : columns
            localparam TOTAL = TOTALS[16*j+:16];
            localparam OWN = LAYOUT[COUNTS+16*j+:16];
            localparam ADDERS = TOTAL > 2 ? (TOTAL - 1) / 2 : 0;
            localparam NEXT = (j + 1) * SIZE  // carries follow the next column's own bits
                + (j + 1 < Y_WIDTH ? LAYOUT[COUNTS+16*(j+1)+:16] + LAYOUT[CONSTANT+j+1] : 0);
            localparam HERE = j * SIZE;
            if (LAYOUT[CONSTANT+j])
                assign queue[HERE+OWN] = 1'b1;
            for (i = 0; i < ADDERS; i = i + 1) begin : bits
                POTVIT_ADD add (.A(queue[HERE+3*i]), .B(queue[HERE+3*i+1]),
                                .CI(queue[HERE+3*i+2]), .S(queue[HERE+TOTAL+i]),
                                .CO(queue[NEXT+i]));
            end
            if (TOTAL == 0)
                assign Y[j] = 1'b0;
            else if (TOTAL % 2 == 1)
                assign Y[j] = queue[HERE+3*ADDERS];
            else
                POTVIT_ADD add (.A(queue[HERE+3*ADDERS]), .B(queue[HERE+3*ADDERS+1]), .CI(1'b0),
                                .S(Y[j]), .CO(queue[NEXT+ADDERS]));
        end
    endgenerate
endmodule
