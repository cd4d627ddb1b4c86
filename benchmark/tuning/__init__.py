"""Hyperparameters chosen on training images alone, and what each part of a method contributes."""
