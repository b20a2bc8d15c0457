"""Random integer graphs for tests."""
