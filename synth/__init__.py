"""Synthesis scripts and their area and timing reports."""
