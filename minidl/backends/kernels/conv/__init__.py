"""Kernels of convolution: forward, input gradient and weight gradient."""
