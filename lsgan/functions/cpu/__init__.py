"""Numba kernels of convolutions, threads and memory management for the CPU versions of the functions."""
