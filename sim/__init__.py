"""Simulation of the generated Verilog (cocotb on Verilator) against the golden model."""
