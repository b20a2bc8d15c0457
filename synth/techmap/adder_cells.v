// Cells for POTVIT_ADD by what is constant. POTVIT_SUM and POTVIT_CARRY are those of which only one
// output is used; they become gates.

(* techmap_celltype = "POTVIT_ADD" *)
module potvit_add (A, B, CI, S, CO);
    input A, B, CI;
    output S, CO;
    parameter _TECHMAP_CONSTMSK_A_ = 0;
    parameter _TECHMAP_CONSTVAL_A_ = 0;
    parameter _TECHMAP_CONSTMSK_B_ = 0;
    parameter _TECHMAP_CONSTVAL_B_ = 0;
    parameter _TECHMAP_CONSTMSK_CI_ = 0;
    parameter _TECHMAP_CONSTVAL_CI_ = 0;
    localparam CONSTANTS = _TECHMAP_CONSTMSK_A_ + _TECHMAP_CONSTMSK_B_ + _TECHMAP_CONSTMSK_CI_;
    localparam ONE = (_TECHMAP_CONSTMSK_A_ & _TECHMAP_CONSTVAL_A_)
        | (_TECHMAP_CONSTMSK_B_ & _TECHMAP_CONSTVAL_B_)
        | (_TECHMAP_CONSTMSK_CI_ & _TECHMAP_CONSTVAL_CI_);
    wire x = _TECHMAP_CONSTMSK_A_ ? B : A;
    wire y = _TECHMAP_CONSTMSK_CI_ ? B : CI;
    generate
`ifdef GATES  // a library whose adder cells are not known
        if (1) begin
            assign S = A ^ B ^ CI;
            assign CO = (A & B) | (CI & (A | B));
        end else
`endif
        if (CONSTANTS == 0) begin
            FA cell_ (.A(A), .B(B), .CI(CI), .S(S), .CO(CO));
        end else if (CONSTANTS == 1 && !ONE) begin
            HA cell_ (.A(x), .B(y), .S(S), .CO(CO));
        end else begin
            assign S = A ^ B ^ CI;
            assign CO = (A & B) | (CI & (A | B));
        end
    endgenerate
endmodule

module POTVIT_SUM (A, B, CI, S, CO);
    input A, B, CI;
    output S, CO;
    assign S = A ^ B ^ CI;
endmodule

module POTVIT_CARRY (A, B, CI, S, CO);
    input A, B, CI;
    output S, CO;
    assign CO = (A & B) | (CI & (A | B));
endmodule
