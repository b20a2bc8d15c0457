"""The executor's compiled kernels: optional, the torch steps are their oracle and stand in."""
