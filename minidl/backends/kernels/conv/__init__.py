"""Convolution kernels: forward, input gradient and weight gradient."""
