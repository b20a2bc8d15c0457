"""Accuracy, fidelity and the study of options."""
