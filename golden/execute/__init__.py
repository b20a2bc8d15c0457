"""The exact executors: the slow reference and the batched one."""
