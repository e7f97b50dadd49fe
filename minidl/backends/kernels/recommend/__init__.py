"""Kernels of recommenders, which `minidl.recommend` calls: no operations of tensors."""
