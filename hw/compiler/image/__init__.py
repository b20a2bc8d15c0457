"""Bytes in DRAM: what a program loads, and where it stores."""
