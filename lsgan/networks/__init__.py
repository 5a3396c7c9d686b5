"""Generators, discriminators and critics."""
