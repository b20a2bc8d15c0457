"""Proofs about the hardware: what simulation samples, for all inputs and all times."""
