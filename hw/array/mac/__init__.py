"""Multiply-accumulate: processing elements, the array of them, operand sums."""
