"""Epilogues: an operation and those that follow it, in one pass over the output.

A table, by the names of the operation and its epilogue, of the kernels that compute both.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from minidl.backends.kernels.fused import _pools_2x2

_KERNELS = {
    ("linear", "relu"): ("linear", "linear_relu"),
    ("conv2d", "relu"): ("conv2d", "conv2d_relu"),
    ("conv2d", "max_pool2d", "relu"): ("conv2d", "conv2d_pool_relu"),
    ("max_pool2d", "relu"): ("max_pool2d", "max_pool2d_relu"),
}


def fused(*arrays: Any, operations: tuple[str, ...], settings: tuple[tuple[Any, ...], ...]) -> Any:
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
    return getattr(import_module(f"minidl_cuda.kernels.{file}"), name)
