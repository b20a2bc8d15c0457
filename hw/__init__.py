"""The accelerator in Amaranth, its Verilog generator and the compiler for its programs."""
