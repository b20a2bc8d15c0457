"""The array unit: matrix products and what becomes of their rows."""
