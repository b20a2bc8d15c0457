"""LOAD and STORE: between DRAM and the memories."""
