"""What an operation is given: which arguments are arrays, where these live, and in which dtype.

Before a body runs, its arrays lie on one backend and have one dtype, that of the promotion table.
Where that is so already, as in training, finding it out is all that happens.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl import dtypes
from minidl.autograd import inplace
from minidl.autograd.graph import Edge
from minidl.autograd.mode import current
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, by_type, cpu
from minidl.dtypes import Rule
from minidl.errors import ArgumentError, DeviceError, DTypeError, describe


class Arguments:
    """Which arguments of a body are arrays, and which are settings."""

    def __init__(self, body: Callable[..., Any]) -> None:
        if not callable(body) or not (parameters := [*inspect.signature(body).parameters.values()]):
            raise ArgumentError(
                f"an operation is made of a body, a function f(xp, x, /, …); got {describe(body)}"
            )
        parameters = parameters[1:]  # all but the namespace
        self.body = body
        self.name = body.__name__.lstrip("_")
        self.signature = inspect.Signature(parameters)
        arrays = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.count = -1 if self.variadic else len(arrays)
        self.needed = sum(p.default is p.empty for p in arrays)
        self.names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    def __call__(self, given: tuple, settings: dict) -> tuple[tuple, dict]:
        """The arrays, None for those left out, and the settings by name."""
        if self.variadic:
            return given, settings
        beyond = given[self.count :]
        names = self.names[: len(beyond)]
        fits = self.needed <= len(given) and len(beyond) == len(names)
        if not fits or not settings.keys().isdisjoint(names):
            self.check(given, settings)
        arrays = given[: self.count] + (None,) * (self.count - len(given))
        return arrays, {**dict(zip(names, beyond, strict=True)), **settings}

    def check(self, given: tuple, settings: dict) -> None:
        """Raise if an argument is missing, unknown, or there twice."""
        try:
            self.signature.bind(*given, **settings)
        except TypeError as error:
            raise TypeError(f"{self.name}{self.signature}: {error}") from None

    def dress(self, operation: Any) -> Any:
        """Give the operation its body, and the signature that its users see."""
        operation.body = self.body
        operation.__name__ = self.name
        operation.__signature__ = self.signature
        return operation


_WEAK = {float, int, bool, type(None)}  # these take the dtype of a float array as they are


def gather(
    split: Arguments, inputs: Sequence[Any], rule: Rule | None, apart: Sequence[int], asks: bool
) -> tuple[list[Any], list[Edge | None], Any, bool]:
    """The arrays of the inputs, their edges, the backend they live on, and if any are complex.

    asks    whether dtypes are looked at, to be joined as the rule says or to find complex ones
    """
    arrays, edges = [], []
    backend = dtype = None
    are_complex = False
    ready = True  # nothing to convert: one backend, one dtype, which the rule allows
    for x in inputs:
        edge = None
        if isinstance(x, Tensor):
            edge, x = x.edge, x.data
        found = by_type.get(type(x))
        if found is None:
            ready = ready and type(x) in _WEAK and (x is not None or len(arrays) >= split.needed)
        elif backend is None:
            backend, dtype = found, x.dtype
        elif found is not backend or (asks and x.dtype is not dtype):
            ready = False
        arrays.append(x)
        edges.append(edge)
    if inplace.superseded and not current.get().again:
        for x in inputs:
            if isinstance(x, Tensor):
                inplace.refuse_superseded(x.data, split.name)
    if not ready or backend is None or asks and dtype.kind != "f":
        arrays, backend, are_complex = _convert(split, arrays, rule, apart)
    return arrays, edges, backend, are_complex


def _convert(
    split: Arguments, values: list[Any], rule: Rule | None, apart: Sequence[int]
) -> tuple[list[Any], Any, bool]:
    """The values on one backend, in the dtype of the promotion table and the rule; if complex."""
    values = [x.item() if isinstance(x, np.generic) else x for x in values]
    name, backend = split.name, one_backend(split, values)
    joined = [x for i, x in enumerate(values) if i not in apart and x is not None]
    if rule is None or not joined:
        arrays = [backend.asarray(x) if _is_scalar(x) else x for x in values]
        return arrays, backend, any(x is not None and x.dtype.kind == "c" for x in arrays)
    try:
        dtype = dtypes.satisfy(rule, dtypes.result_type(*joined))
    except DTypeError as error:
        raise DTypeError(f"{name}({', '.join(map(describe, values))}): {error}") from None
    arrays_too = any(not _is_scalar(x) for x in joined)

    def convert(x: Any) -> Any:
        if _is_scalar(x):
            return _weak(name, x, dtype) if arrays_too else backend.asarray(x, dtype=dtype)
        return x if x.dtype == dtype else backend.astype(x, dtype)

    arrays = [
        x if x is None or i in apart and not _is_scalar(x) else convert(x)
        for i, x in enumerate(values)
    ]
    return arrays, backend, dtype.kind == "c"


def one_backend(split: Arguments, values: list[Any]) -> Any:
    """The backend that all arrays among the values live on; the CPU if there are none."""
    backends = {}
    for position, x in enumerate(values):
        backend = backend_of(x)
        if backend is not None:
            backends.setdefault(backend.name, position)
        elif not _is_scalar(x) and (x is not None or position < split.needed):
            raise DTypeError(
                f"{split.name}: input {position} is {describe(x)}; needs a tensor, an array or a "
                "number; minidl.asarray makes a tensor of nested lists"
            )
    if len(backends) > 1:
        places = " and ".join(f"input {i} is on {device!r}" for device, i in backends.items())
        raise DeviceError(f"{split.name}: {places}; move one with to_device")
    return backend_of(values[next(iter(backends.values()))]) if backends else cpu


def _is_scalar(x: Any) -> bool:
    return isinstance(x, bool | int | float | complex)


def _weak(name: str, scalar: Any, dtype: np.dtype) -> Any:
    """A Python scalar that will take an array's dtype, if it can."""
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= scalar <= np.iinfo(dtype).max:
        raise DTypeError(f"{name}: {scalar} does not fit into {dtype}; astype the array first")
    return scalar
