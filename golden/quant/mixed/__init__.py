"""Which layers get 4-bit weights: sensitivities, and a search from coarse to fine."""
