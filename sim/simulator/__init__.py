"""Simulator binaries: generated Verilog, Verilator, runs and child processes."""
