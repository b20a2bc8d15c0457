// Adders as ripple chains of POTVIT_ADD, one bit each: the least area, not the least delay.

(* techmap_celltype = "$alu" *)
module potvit_alu (A, B, CI, BI, X, Y, CO);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 1;
    parameter B_WIDTH = 1;
    parameter Y_WIDTH = 1;
    input [A_WIDTH-1:0] A;
    input [B_WIDTH-1:0] B;
    input CI, BI;
    output [Y_WIDTH-1:0] X, Y, CO;

    wire [Y_WIDTH-1:0] a, b;
    generate
        if (A_WIDTH == 0) assign a = 0;
        else if (A_SIGNED) assign a = $signed(A);
        else assign a = A;
        if (B_WIDTH == 0) assign b = 0;
        else if (B_SIGNED) assign b = $signed(B);
        else assign b = B;
    endgenerate
    wire [Y_WIDTH-1:0] term = b ^ {Y_WIDTH{BI}};
    wire [Y_WIDTH:0] carry;
    assign carry[0] = CI;
    assign CO = carry[Y_WIDTH:1];
    assign X = a ^ term;
    genvar i;
    generate for (i = 0; i < Y_WIDTH; i = i + 1) begin : bits
        POTVIT_ADD add (.A(a[i]), .B(term[i]), .CI(carry[i]), .S(Y[i]), .CO(carry[i+1]));
    end endgenerate
endmodule
