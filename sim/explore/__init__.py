"""Design-space exploration: configurations through cycle model, area model and RTL."""
