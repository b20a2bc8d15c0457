"""Figures from programs and counters."""
