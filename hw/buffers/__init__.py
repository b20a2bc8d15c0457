"""The on-chip memories and who may use each port."""
