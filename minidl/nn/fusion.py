"""Fusion: consecutive layers that run as one operation with an epilogue.

What gives the same values with fewer passes over memory is done so.  A ReLU is applied while the
output of the layer before it is written.  A max pooling after a convolution is computed before the
convolution's output is written at all.  And since max(relu(x)) = relu(max(x)), a ReLU beside a max
pooling runs after it, on fewer elements.

`plan` applies a table of patterns to the operations that the layers call, and to nothing else: a
plan is made once for each sequence of operations, and cannot be out of date.  Settings are read
when the layers run.  A layer that does not do what its class defines, as it has hooks or a
`forward` of its own, is never fused.
"""

from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

from minidl.nn.activation import ReLU
from minidl.nn.conv import Conv2d
from minidl.nn.linear import Linear
from minidl.nn.module import Module
from minidl.nn.pool import MaxPool2d
from minidl.nn.precision import in_dtype_of
from minidl.ops.nn.fused import fused

# The operation that a layer calls, for the layers that can be fused.
OPERATIONS: dict[type[Module], str] = {
    Conv2d: "conv2d",
    Linear: "linear",
    MaxPool2d: "max_pool2d",
    ReLU: "relu",
}

# Operations of consecutive layers, and the order in which they are computed when fused: the first,
# then its epilogue.  Of two patterns that fit, the longer one stands before the other.
PATTERNS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("conv2d", "relu", "max_pool2d"): ("conv2d", "max_pool2d", "relu"),
    ("conv2d", "max_pool2d", "relu"): ("conv2d", "max_pool2d", "relu"),
    ("conv2d", "relu"): ("conv2d", "relu"),
    ("linear", "relu"): ("linear", "relu"),
    ("relu", "max_pool2d"): ("max_pool2d", "relu"),
    ("max_pool2d", "relu"): ("max_pool2d", "relu"),
}


class Fused:
    """A step of a plan: consecutive layers that have one of the patterns."""

    def __init__(self, start: int, pattern: tuple[str, ...]) -> None:
        self.start, self.stop = start, start + len(pattern)
        self.operations = PATTERNS[pattern]
        self.arguments = _ARGUMENTS[self.operations[0]]
        self.first = pattern.index(self.operations[0])
        in_epilogue = "max_pool2d" in self.operations[1:]
        self.pool = pattern.index("max_pool2d") if in_epilogue else None

    def run(self, layers: Sequence[Any], x: Any) -> Any:
        """The output of these layers.

        If this fails they run one after another, so that the error is about one of them.
        """
        try:
            arrays, own = self.arguments(layers[self.first], x)
            settings = (own, ()) if self.pool is None else (own, _geometry(layers[self.pool]), ())
            return fused(*arrays, operations=self.operations, settings=settings)
        except Exception:
            pass
        for layer in layers:
            x = layer(x)
        return x


def plan(layers: Sequence[Any]) -> tuple["int | Fused", ...]:
    """The steps of consecutive layers: the index of one that runs by itself, or several fused."""
    if not _classes_are_unpatched():
        return tuple(range(len(layers)))
    operations = [
        None if layer._hooks or "forward" in vars(layer) else OPERATIONS.get(type(layer))
        for layer in layers
    ]
    if "max_pool2d" in operations:
        pools = (i for i, operation in enumerate(operations) if operation == "max_pool2d")
        for i in pools:
            if layers[i].return_indices is not False:
                operations[i] = None
    return _plan(tuple(operations))


@lru_cache(maxsize=512)
def _plan(operations: tuple[str | None, ...]) -> tuple[int | Fused, ...]:
    steps: list[int | Fused] = []
    start = 0
    while start < len(operations):
        fitting = (p for p in PATTERNS if operations[start : start + len(p)] == p)
        pattern = next(fitting, None)
        steps.append(Fused(start, pattern) if pattern else start)
        start += len(pattern) if pattern else 1
    return tuple(steps)


# The arrays and the settings with which a layer calls its operation.


def _of_conv2d(layer: Conv2d, x: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    x, padding = layer._padded(x)
    return (x, layer.weight, layer.bias), (layer.stride, padding, layer.dilation, layer.groups)


def _of_linear(layer: Linear, x: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return (in_dtype_of(layer.weight, layer, x), layer.weight, layer.bias), ()


def _of_max_pool2d(layer: MaxPool2d, x: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return (x,), _geometry(layer)


_geometry = attrgetter("kernel_size", "stride", "padding", "dilation", "ceil_mode")
_ARGUMENTS: dict[str, Any] = {
    "conv2d": _of_conv2d,
    "linear": _of_linear,
    "max_pool2d": _of_max_pool2d,
}


# What calling these layers runs, as it was when this file was read.
_CALL = Module.__call__
_CONV2D, _LINEAR, _MAX_POOL2D, _RELU = (layer.forward for layer in OPERATIONS)
_CONV2D_OPERATION, _MAX_POOL2D_OPERATION = Conv2d.operation, MaxPool2d.operation


def _classes_are_unpatched() -> bool:
    """Whether nobody has replaced a method of one of the classes, as tests and profilers do."""
    return (
        Conv2d.forward is _CONV2D
        and Conv2d.operation is _CONV2D_OPERATION
        and Conv2d.__call__ is _CALL
        and Linear.forward is _LINEAR
        and Linear.__call__ is _CALL
        and MaxPool2d.forward is _MAX_POOL2D
        and MaxPool2d.operation is _MAX_POOL2D_OPERATION
        and MaxPool2d.__call__ is _CALL
        and ReLU.forward is _RELU
        and ReLU.__call__ is _CALL
    )
