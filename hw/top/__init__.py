"""The units put together, and the Verilog that comes of it."""
