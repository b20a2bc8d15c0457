"""From accumulators to memories: requantization, residual addition, tables."""
