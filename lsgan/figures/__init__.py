"""Figures: pure functions that draw arrays and write the pictures to files."""
