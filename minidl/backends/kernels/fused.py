"""Epilogues: an operation and those that follow it, in one pass over the output.

A table, by the names of the operation and its epilogue, of the kernels that compute both.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from minidl.backends.joint import Joint
from minidl.backends.window import memoized
from minidl.checks import pair

_KERNELS = {
    ("linear", "relu"): "linear_relu",
    ("conv2d", "relu"): "conv2d_relu",
    ("conv2d", "max_pool2d", "relu"): "conv2d_pool_relu",
    ("max_pool2d", "relu"): "max_pool2d_relu",
}
_WITH_BIAS = "linear", "conv2d"


def fused_from(package: str, files: dict[str, str]) -> Callable[..., Any]:
    """The kernel `fused` of a package, whose kernels for an operation are in one of its `files`."""

    @cache
    def kernel_of(operations: tuple[str, ...]) -> Callable[..., Any] | None:
        """The kernel of all of these operations; its file is imported when first needed."""
        if operations not in _KERNELS:
            return None
        module = import_module(f"{package}.{files[operations[0]]}")
        return getattr(module, _KERNELS[operations])

    def fused(
        *arrays: Any, operations: tuple[str, ...], settings: tuple[tuple[Any, ...], ...]
    ) -> Any:
        """The operations one after another, and the pullback of all of them."""
        kernel = kernel_of(operations)
        if kernel is None:
            return NotImplemented
        if operations[1] == "max_pool2d" and not _pools_2x2(*settings[1]):
            return NotImplemented
        if operations[0] in _WITH_BIAS and len(arrays) == 2 and not settings[0]:
            return _without_bias(kernel(*arrays, None))
        return kernel(*arrays, *settings[0])

    return fused


def _without_bias(result: Any) -> Any:
    """What a kernel gave for two arrays and no bias, with a pullback for the two."""
    if result is NotImplemented:
        return result
    y, pullback = result
    return y, Joint(lambda needed, dy: pullback((*needed, False))(dy)[:2])


fused = fused_from(
    "minidl.backends.kernels",
    {"linear": "linear", "conv2d": "conv.conv2d", "max_pool2d": "pool.max_pool"},
)


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
