"""Metrics: pure functions from NumPy arrays to numbers."""
