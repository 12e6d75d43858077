"""Pretrained weights: which are known, where they lie, and whether they are what they should be. Runs no network."""
