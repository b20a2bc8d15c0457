"""The commands of ``python -m hw``."""
