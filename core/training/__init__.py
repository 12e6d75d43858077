"""Training: examples to a calibrated network, with its figures on held-out photos."""
