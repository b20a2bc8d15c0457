"""The controller of MATMUL: loops, operand addresses, pace, counts (docs/architecture.md)."""
