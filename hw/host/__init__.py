"""What the host sees: registers, counters, run control."""
