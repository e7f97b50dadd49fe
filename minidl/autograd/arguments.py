"""The arguments of an operation: which are arrays, where these are stored, in which dtype.

Before a body runs, its arrays are on one backend and have one dtype, that of the promotion table.
Where this is so already, as in training, checking it is all that happens.
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
from minidl.backends import backend_of, by_type, cpu, device_backend
from minidl.backends.device import default_device
from minidl.backends.registry import create, device_of, find
from minidl.backends.rows import RowGradient
from minidl.dtypes import Rule
from minidl.errors import ArgumentError, DeviceError, DTypeError, check_arguments, describe


class Signature:
    """The parameters of a body: arrays, which are positional-only, and settings."""

    def __init__(self, body: Callable[..., Any]) -> None:
        if not callable(body) or not (parameters := [*inspect.signature(body).parameters.values()]):
            raise ArgumentError(
                f"an operation is made of a body, a function f(xp, x, /, …); got {describe(body)}"
            )
        parameters = parameters[1:]  # all but the namespace
        self.name = body.__name__.lstrip("_")
        self.public = inspect.Signature(parameters)
        arrays = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.count = -1 if self.variadic else len(arrays)
        self.required = sum(p.default is p.empty for p in arrays)
        self.setting_names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    def split(self, given: tuple, settings: dict) -> tuple[tuple, dict]:
        """The arrays, None for omitted ones, and the settings by name."""
        if self.variadic:
            return given, settings
        beyond = given[self.count :]
        names = self.setting_names[: len(beyond)]
        fits = self.required <= len(given) and len(beyond) == len(names)
        if not fits or not settings.keys().isdisjoint(names):
            self.check(given, settings)
        arrays = given[: self.count] + (None,) * (self.count - len(given))
        return arrays, {**dict(zip(names, beyond, strict=True)), **settings}

    def check(self, given: tuple, settings: dict) -> None:
        """Raise if an argument is missing, unknown or given twice."""
        check_arguments(f"{self.name}{self.public}", self.public, given, settings)


_WEAK = {float, int, bool, type(None)}  # scalars that adopt the dtype of a float array


def gather(
    signature: Signature,
    inputs: Sequence[Any],
    rule: Rule | None,
    keep_dtype: Sequence[int],
    check_dtypes: bool,
) -> tuple[list[Any], list[Edge | None], Any, bool]:
    """The arrays of the inputs, their edges, their backend, and whether any of them is complex.

    Without `check_dtypes`, arrays on one backend are taken as they are, complex ones unnoticed.
    """
    arrays: list[Any] = []
    edges: list[Edge | None] = []
    backend: Any = None
    dtype: Any = None
    are_complex = False
    ready = True  # nothing to convert: one backend, one dtype, which the rule allows
    of_host = False
    for x in inputs:
        edge = None
        if isinstance(x, Tensor):
            edge, x = x.edge, x.data
        elif isinstance(x, np.ndarray):
            of_host = True
        owner = by_type.get(type(x))
        if owner is None:
            ready = (
                ready and type(x) in _WEAK and (x is not None or len(arrays) >= signature.required)
            )
        elif backend is None:
            backend, dtype = owner, x.dtype
        elif owner is not backend or (check_dtypes and x.dtype is not dtype):
            ready = False
        arrays.append(x)
        edges.append(edge)
    if of_host and (beside := with_tensors(inputs)) is not inputs:
        return gather(signature, beside, rule, keep_dtype, check_dtypes)
    if inplace.superseded and not current.get().replaying:
        for x in inputs:
            if isinstance(x, Tensor):
                inplace.refuse_superseded(x.data, signature.name)
    if not ready or backend is None or check_dtypes and dtype.kind != "f":
        arrays, backend, are_complex = _convert(signature, arrays, rule, keep_dtype)
    return arrays, edges, backend, are_complex


def _convert(
    signature: Signature, values: list[Any], rule: Rule | None, keep_dtype: Sequence[int]
) -> tuple[list[Any], Any, bool]:
    """The values as arrays of the promoted dtype, their backend, and whether that is complex."""
    values = [_plain(signature, x) for x in values]
    name, backend = signature.name, common_backend(signature, values)
    promoted = [x for i, x in enumerate(values) if i not in keep_dtype and x is not None]
    if rule is None or not promoted:
        arrays = [backend.asarray(x) if _is_scalar(x) else x for x in values]
        return arrays, backend, any(x is not None and x.dtype.kind == "c" for x in arrays)
    try:
        dtype = dtypes.satisfy(rule, dtypes.result_type(*promoted))
    except DTypeError as error:
        raise DTypeError(f"{name}({', '.join(map(describe, values))}): {error}") from None
    has_arrays = any(not _is_scalar(x) for x in promoted)

    def convert(x: Any) -> Any:
        if _is_scalar(x):
            return _weak(name, x, dtype) if has_arrays else backend.asarray(x, dtype=dtype)
        return x if x.dtype == dtype else backend.astype(x, dtype)

    arrays = [
        x if x is None or i in keep_dtype and not _is_scalar(x) else convert(x)
        for i, x in enumerate(values)
    ]
    return arrays, backend, dtype.kind == "c"


def common_backend(signature: Signature, values: Sequence[Any]) -> Any:
    """The backend of all arrays among the values; if there are none, that of the default device.

    raises    DeviceError for arrays on several devices
    """
    devices: dict[str, int] = {}
    for position, x in enumerate(values):
        backend = backend_of(x)
        if backend is not None:
            devices.setdefault(backend.device_of(x), position)
        elif not _is_scalar(x) and (x is not None or position < signature.required):
            raise DTypeError(
                f"{signature.name}: input {position} is {describe(x)}; needs a tensor, an array or "
                "a number; minidl.asarray makes a tensor of nested lists"
            )
    if len(devices) > 1:
        where = " and ".join(
            f"input {i}, {describe(values[i])}, is on {str(device)!r}"
            for device, i in devices.items()
        )
        first = next(iter(devices))
        raise DeviceError(f"{signature.name}: {where}; move one, as by x.to({str(first)!r})")
    return device_backend(next(iter(devices), None) or default_device())


def with_tensors(inputs: Sequence[Any]) -> Sequence[Any]:
    """The inputs, in which arrays of the host, which have no device, are where the tensors are.

    Without tensors, they are on the default device.
    """
    arrays = (x.data if isinstance(x, Tensor) else x for x in inputs)
    own = [x for x in arrays if type(x) in by_type and type(x) is not np.ndarray]
    if own:
        device = device_of(own[0])
    elif any(isinstance(x, Tensor) for x in inputs) or default_device() == "cpu":
        return inputs
    else:
        device = find(default_device())[1]
    return [
        Tensor(create(device, "asarray", cpu.plain(x))) if isinstance(x, np.ndarray) else x
        for x in inputs
    ]


def elsewhere(signature: Signature, inputs: Sequence[Any]) -> Any:
    """The device of the inputs, if it is not the current one; only with several devices.

    raises    DeviceError for inputs on several devices
    """
    found = None
    for x in inputs:
        array = x.data if isinstance(x, Tensor) else x
        backend = by_type.get(type(array))
        if backend is None or x is array and backend is cpu:
            continue
        device = backend.device_of(array)
        if found is None:
            found, current_one = device, backend.current_device()
        elif device != found:
            beside = with_tensors(inputs)
            arrays = [x.data if isinstance(x, Tensor) else x for x in beside]
            common_backend(signature, [_plain(signature, x) for x in arrays])
    if found is None:  # numbers only
        backend, found = find(default_device())
        current_one = backend.current_device()
    return None if found == current_one else found


def _plain(signature: Signature, x: Any) -> Any:
    """A NumPy scalar as Python's, an array of a subclass as NumPy's own; anything else itself.

    A RowGradient is dense for every operation.
    """
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, RowGradient):
        return x.dense()
    try:
        return cpu.plain(x) if isinstance(x, np.ndarray) else x
    except DTypeError as error:
        raise DTypeError(f"{signature.name}: {error}") from None


def _is_scalar(x: Any) -> bool:
    return isinstance(x, bool | int | float | complex)


def _weak(name: str, scalar: Any, dtype: np.dtype) -> Any:
    """A Python scalar that adopts an array's dtype, if it can."""
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= scalar <= np.iinfo(dtype).max:
        raise DTypeError(f"{name}: {scalar} does not fit into {dtype}; astype the array first")
    return scalar
