"""The GPU versions of the functions, optimizers and random streams: CUDA kernels, matrix products, cuDNN and CUDA graphs."""
