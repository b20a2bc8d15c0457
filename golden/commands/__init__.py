"""Commands of the golden model, one module each."""
