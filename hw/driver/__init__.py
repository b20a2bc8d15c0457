"""The drivers: C sources for a project of one's own, and the same verbs in Python."""
