"""AXI: signatures, bursts, arbitration."""
