// Port directions of the placeholders between dot_products.v, adders.v and adder_cells.v.
module POTVIT_ADD (input A, B, CI, output S, CO);
endmodule

module POTVIT_SUM (input A, B, CI, output S, CO);
endmodule

module POTVIT_CARRY (input A, B, CI, output S, CO);
endmodule
