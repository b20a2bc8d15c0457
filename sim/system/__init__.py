"""Whole networks on the accelerator, its DRAM and its host."""
