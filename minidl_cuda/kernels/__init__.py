"""Kernels in CUDA C++: a family is a wrapper, softmax.py, and its source, softmax.cu."""
