"""How a layer is called: whether in training, and which arguments its methods take."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import numpy as np

from minidl import ops
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.keras.graph.tensor import KerasTensor
from minidl.keras.masking import mask_of, masked
from minidl.keras.structure import flatten, is_nested, map_leaves, pack

_training: ContextVar[bool | None] = ContextVar("_training", default=None)
_tracing: ContextVar[bool] = ContextVar("_tracing", default=False)

_SIZES = (2, 3)  # of batches, and lengths of other axes, with which a call is tried
_LENGTHS = (83, 89)


class Signature:
    """The names of the arguments of a function, and of a method without self."""

    def __init__(self, function: Callable[..., Any], is_method: bool) -> None:
        parameters = list(inspect.signature(function).parameters.values())[is_method:]
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        self.names = [p.name for p in parameters if p.kind in named]
        self.defaults = {p.name: p.default for p in parameters}
        self.takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.variable = any(p.kind is p.VAR_POSITIONAL for p in parameters)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name; those of *args are left out."""
        return {**dict(zip(self.names, args, strict=False)), **kwargs}

    def missing(self, arguments: dict[str, Any]) -> list[str]:
        """What a call has to give beside these; training and mask are found without it."""
        known = {*arguments, "training", "mask"}
        empty = inspect.Parameter.empty
        return [n for n in self.names if n not in known and self.defaults[n] is empty]


_signature_of = lru_cache(maxsize=1024)(Signature)


def signature(method: Any) -> Signature:
    """The signature of a function or a bound method."""
    function = getattr(method, "__func__", method)
    return _signature_of(function, function is not method)


def is_training() -> bool | None:
    """Whether the layers that are being called are in training; None outside of calls."""
    return _training.get()


@contextmanager
def calling(training: bool) -> Iterator[None]:
    """A block in which layers called without `training` are in training, or not."""
    token = _training.set(training)
    try:
        yield
    finally:
        _training.reset(token)


def is_traced() -> bool:
    """Whether the call is only one to find shapes, which leaves no trace in any state."""
    return _tracing.get()


@contextmanager
def tracing() -> Iterator[None]:
    """A block of calls that are made only to find shapes, or to create weights."""
    token, inner = _tracing.set(True), _training.set(False)
    try:
        with no_grad(), np.errstate(all="ignore"):
            yield
    finally:
        _training.reset(inner)
        _tracing.reset(token)


def to_tensors(x: Any, dtype: Any, first: bool = False) -> Any:
    """The arrays in an argument as tensors, floats in the dtype; all else as it is.

    first    whether it is the input of the layer, of which a list of numbers is an array too
    """
    if isinstance(x, Tensor | np.ndarray | np.generic):
        return _cast(x, dtype)
    if is_nested(x):
        if first and not _has_arrays(x) and flatten(x):
            return _cast(x, dtype)
        return map_leaves(lambda leaf: to_tensors(leaf, dtype), x)
    return _cast(x, dtype) if first and isinstance(x, bool | int | float) else x


def _has_arrays(x: Any) -> bool:
    kinds = Tensor | np.ndarray | KerasTensor | None
    return any(isinstance(leaf, kinds) or not np.isscalar(leaf) for leaf in flatten(x))


def _cast(x: Any, dtype: Any) -> Tensor:
    tensor = ops.asarray(x)
    if tensor.dtype.kind != "f" or tensor.dtype == dtype:
        return tensor
    return masked(tensor.astype(dtype), mask_of(x))


def call_by_shapes(method: Callable[..., Any], shapes: dict[str, Any], first: Any) -> Any:
    """Call `build` or `compute_output_shape`, with the shapes that they want.

    It is that of the first argument; or, if they name arguments, as build(query_shape, value_shape)
    does, those of these.
    """
    names = signature(method).names
    named = {f"{name}_shape": shape for name, shape in shapes.items()}
    if names and names[0] in named and all(name in named for name in _needed(method, names)):
        return method(**{name: named[name] for name in names if name in named})
    return method(first)


def _needed(method: Callable[..., Any], names: list[str]) -> list[str]:
    defaults = signature(method).defaults
    return [name for name in names if defaults[name] is inspect.Parameter.empty]


def shapes_in(structure: Any) -> Any:
    """The shapes of the tensors in a structure, with None for the batch and for what is none."""

    def shape(x: Any) -> Any:
        if isinstance(x, KerasTensor):
            return x.shape
        return (None, *x.shape[1:]) if isinstance(x, Tensor) else None

    return map_leaves(shape, structure)


def traced(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """The outputs of a function of symbolic tensors: symbolic tensors, found by two calls of it.

    The calls are with zeros, of two sizes where a length is not known: an output's length that
    differs between them is not known either.
    """
    with tracing():
        one, other = (function(*_zeros(args, which), **_zeros(kwargs, which)) for which in range(2))
    pairs = zip(flatten(one), flatten(other), strict=True)
    return pack(one, [_common(x, y) for x, y in pairs])


def _zeros(arguments: Any, which: int) -> Any:
    def zeros(x: Any) -> Any:
        if not isinstance(x, KerasTensor):
            return x
        unknown = [_SIZES[which], *[_LENGTHS[which]] * x.ndim]
        shape = [u if n is None else n for n, u in zip(x.shape, unknown, strict=False)]
        return ops.zeros(tuple(shape), dtype=x.dtype)

    return map_leaves(zeros, arguments)


def _common(x: Any, y: Any) -> Any:
    if not isinstance(x, Tensor):
        return x
    shape = tuple(n if n == m else None for n, m in zip(x.shape, y.shape, strict=True))
    return KerasTensor(shape, x.dtype)
