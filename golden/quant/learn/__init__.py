"""Learned rounding: a quantized graph fitted to the float network by its own integer forward."""
