"""Training data as arrays on the training device."""
