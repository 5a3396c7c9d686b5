"""Data sets: training data as arrays, and the iterator that draws batches from them."""
