"""The GPU versions of the functions, optimizers and random streams: CUDA kernels and matrix products."""
