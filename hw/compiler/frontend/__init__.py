"""Reads a graph, and refuses what hardware cannot run."""
