"""Search for the layers that get 4-bit weights, by real cycles and held-out agreement."""
