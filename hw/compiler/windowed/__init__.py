"""Networks whose attention stays inside windows: stages, patch merging, pooling."""
