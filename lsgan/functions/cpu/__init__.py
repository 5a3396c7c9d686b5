"""The machinery of the CPU versions: Numba kernels of convolutions, threads and memory."""
