"""Epilogues: the table of the CPU's kernels, for those of GPUs."""

from minidl.backends.kernels.fused import fused_from

fused = fused_from(
    "minidl_cuda.kernels", {"linear": "linear", "conv2d": "conv2d", "max_pool2d": "max_pool2d"}
)
