"""Epilogues: an operation and those that follow it, in one pass over the output.

A table, by the names of the operation and its epilogue, of the kernels that compute both.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from minidl.backends.window import memoized
from minidl.checks import pair

_KERNELS = {
    ("linear", "relu"): ("linear", "linear_relu"),
    ("conv2d", "relu"): ("conv.conv2d", "conv2d_relu"),
    ("conv2d", "max_pool2d", "relu"): ("conv.conv2d", "conv2d_pool_relu"),
    ("max_pool2d", "relu"): ("pool.max_pool", "max_pool2d_relu"),
}


def fused(
    *arrays: np.ndarray, operations: tuple[str, ...], settings: tuple[tuple[Any, ...], ...]
) -> Any:
    """The operations one after another, and the pullback of all of them."""
    kernel = _kernel(operations)
    if kernel is None:
        return NotImplemented
    if operations[1] == "max_pool2d" and not _pools_2x2(*settings[1]):
        return NotImplemented
    return kernel(*arrays, *settings[0])


@cache
def _kernel(operations: tuple[str, ...]) -> Callable[..., Any] | None:
    """The kernel that computes all of these operations; its file is imported when first needed."""
    if operations not in _KERNELS:
        return None
    file, name = _KERNELS[operations]
    return getattr(import_module(f"minidl.backends.kernels.{file}"), name)


@memoized
def _pools_2x2(
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: Any = False,
) -> bool:
    """Whether the windows of a pooling are 2×2 and side by side."""
    stride = kernel_size if stride is None else stride
    lengths = (
        pair("max_pool2d", "kernel_size", kernel_size, 1),
        pair("max_pool2d", "stride", stride, 1),
        pair("max_pool2d", "padding", padding, 0),
        pair("max_pool2d", "dilation", dilation, 1),
    )
    return lengths == ((2, 2), (2, 2), (0, 0), (1, 1)) and ceil_mode is False
