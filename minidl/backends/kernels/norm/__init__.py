"""Normalisation kernels: batch norm, layer norm, group norm."""
