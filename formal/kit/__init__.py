"""What proofs are written with, and the engine that decides them."""
