"""What unit benches are made of."""
