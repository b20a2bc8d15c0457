"""cocotb test modules: one per unit, and the whole network."""
