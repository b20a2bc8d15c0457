"""Commands of the golden model's command line, one module each."""
