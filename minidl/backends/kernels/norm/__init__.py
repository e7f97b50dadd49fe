"""Kernels of the normalisations."""
