"""Operations: a body, written once, becomes a function of Tensors.

    @primitive
    def multiply(xp, x1, x2, /):
        return x1 * x2, (lambda dz: dz * x2, lambda dz: dz * x1)

The body gets the namespace to compute in, its arrays (before the slash), and its settings (after
it).  It returns its value, and the pullback that carries the gradient of the value back to the
arrays: a tuple with one function for each array, or one function that returns the tuple (for a
single array: the gradient itself), or None where there is no derivative.

The same body runs on raw arrays for values and first derivatives, and on Tensors, with minidl's
own functions for `xp`, when a gradient is itself recorded.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import numpy as np

from minidl import dtypes
from minidl.autograd import engine, inplace
from minidl.autograd.graph import Edge, Node
from minidl.autograd.mode import Mode, current
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, by_type, cpu
from minidl.backends.joint import Joint
from minidl.dtypes import REAL, Rule
from minidl.errors import DeviceError, DTypeError, GradientError, MinidlError, describe, explain


def primitive(
    rule: Rule | Callable[..., Any] | None = REAL,
    *,
    apart: Sequence[int] = (),
    constants: Sequence[int] = (),
) -> Any:
    """Make an operation of a body that gives its value and its pullback.

    rule        what is asked of the dtypes of the arrays, which become one before the body runs:
                REAL, NUMBER or ANY; None leaves them as they are
    apart       the positions of arrays that keep their own dtype, as indices do
    constants   the positions of outputs that have no derivative
    """
    if callable(rule):
        return primitive()(rule)

    def decorate(body: Callable[..., Any]) -> Callable[..., Any]:
        split = _Arguments(body)
        name = split.name

        @wraps(body)
        def operation(*inputs: Any, **settings: Any) -> Any:
            if len(inputs) != split.count:
                inputs, settings = split(inputs, settings)
            mode = current.get()
            arrays, edges, backend = _gather(name, inputs, rule, apart)
            run = body
            if mode.fast and not mode.keep_inputs:
                run = backend.kernel(name) or body
            try:
                result = (
                    run(backend, *arrays, **settings) if run is body else run(*arrays, **settings)
                )
                if result is NotImplemented:
                    result = body(backend, *arrays, **settings)
            except EXPLAINED as error:
                split.check(inputs, settings)
                raise _explained(name, inputs, error) from error
            return _record(mode, operation, backend, inputs, edges, settings, result, constants)

        return split.dress(operation)

    return decorate


def composite(
    body: Callable[..., Any] | None = None, *, constants: Sequence[int] = ()
) -> Callable[..., Any]:
    """Make an operation of a body that only gives its value, computed from other operations.

    It is differentiated through its parts, but for the outputs at the positions `constants`.
    Where a backend has a kernel of its name, first-order work uses that instead.
    """
    if body is None:
        return partial(composite, constants=constants)
    split = _Arguments(body)
    name = split.name

    @wraps(body)
    def operation(*inputs: Any, **settings: Any) -> Any:
        if len(inputs) != split.count:
            inputs, settings = split(inputs, settings)
        mode = current.get()
        if mode.fast and not mode.keep_inputs:
            arrays, edges, backend = _gather(name, inputs, None, ())
            kernel = backend.kernel(name)
            try:
                result = NotImplemented if kernel is None else kernel(*arrays, **settings)
            except EXPLAINED as error:
                split.check(inputs, settings)
                raise _explained(name, inputs, error) from error
            if result is not NotImplemented:
                return _record(mode, operation, backend, inputs, edges, settings, result, constants)
        tensors = [Tensor(x) if type(x) in by_type else x for x in inputs]
        try:
            value = body(engine.differentiable, *tensors, **settings)
        except MinidlError as error:
            raise _explained(name, inputs, error) from error
        except TypeError:
            split.check(inputs, settings)
            raise
        if not constants:
            return value
        return tuple(x.detach() if i in constants else x for i, x in enumerate(value))

    return split.dress(operation)


class _Arguments:
    """Which arguments of a body are arrays, and which are settings."""

    def __init__(self, body: Callable[..., Any]) -> None:
        _, *parameters = inspect.signature(body).parameters.values()  # all but the namespace
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


# What array libraries raise, and what Python does when a number stands where an array should.
EXPLAINED = ValueError, TypeError, IndexError, OverflowError, AttributeError
_WEAK = {float, int, bool, type(None)}  # these take the dtype of a float array as they are


def _gather(
    name: str, inputs: Sequence[Any], rule: Rule | None, apart: Sequence[int]
) -> tuple[list[Any], list[Edge | None], Any]:
    """The arrays of the inputs, their edges, and the backend that they live on."""
    arrays, edges = [], []
    backend = dtype = None
    ready = True  # nothing to convert: one backend, one dtype, which the rule allows
    for x in inputs:
        edge = None
        if isinstance(x, Tensor):
            edge, x = x.edge, x.data
        found = by_type.get(type(x))
        if found is None:
            ready = ready and type(x) in _WEAK
        elif backend is None:
            backend, dtype = found, x.dtype
        elif found is not backend or (rule is not None and x.dtype is not dtype):
            ready = False
        arrays.append(x)
        edges.append(edge)
    if inplace.superseded:
        for x in inputs:
            if isinstance(x, Tensor):
                inplace.refuse_superseded(x.data, name)
    if not ready or backend is None or rule is not None and dtype.kind != "f":
        arrays, backend = _convert(name, arrays, rule, apart)
    return arrays, edges, backend


def _convert(
    name: str, values: list[Any], rule: Rule | None, apart: Sequence[int]
) -> tuple[list[Any], Any]:
    """The values on one backend, in the dtype that the promotion table and the rule give."""
    values = [x.item() if isinstance(x, np.generic) else x for x in values]
    backend = _one_backend(name, values)
    joined = [x for i, x in enumerate(values) if i not in apart and x is not None]
    if rule is None or not joined:
        return [backend.asarray(x) if _is_scalar(x) else x for x in values], backend
    try:
        dtype = dtypes.satisfy(rule, dtypes.result_type(*joined))
    except DTypeError as error:
        raise DTypeError(f"{name}({', '.join(map(describe, values))}): {error}") from None
    arrays_too = any(not _is_scalar(x) for x in joined)

    def convert(x: Any) -> Any:
        if _is_scalar(x):
            return _weak(name, x, dtype) if arrays_too else backend.asarray(x, dtype=dtype)
        return x if x.dtype == dtype else backend.astype(x, dtype)

    return [
        x if x is None or i in apart and not _is_scalar(x) else convert(x)
        for i, x in enumerate(values)
    ], backend


def _one_backend(name: str, values: list[Any]) -> Any:
    """The backend that all arrays among the values live on; the CPU if there are none."""
    backends = {}
    for position, x in enumerate(values):
        backend = backend_of(x)
        if backend is not None:
            backends.setdefault(backend.name, position)
        elif x is not None and not _is_scalar(x):
            raise DTypeError(
                f"{name}: input {position} is {describe(x)}; needs a tensor, an array or a number; "
                "minidl.asarray makes a tensor of nested lists"
            )
    if len(backends) > 1:
        places = " and ".join(f"input {i} is on {device!r}" for device, i in backends.items())
        raise DeviceError(f"{name}: {places}; move one with to_device")
    return backend_of(values[next(iter(backends.values()))]) if backends else cpu


def _is_scalar(x: Any) -> bool:
    return isinstance(x, bool | int | float | complex)


def _weak(name: str, scalar: Any, dtype: np.dtype) -> Any:
    """A Python scalar that will take an array's dtype, if it can."""
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= scalar <= np.iinfo(dtype).max:
        raise DTypeError(f"{name}: {scalar} does not fit into {dtype}; astype the array first")
    return scalar


def _record(
    mode: Mode,
    operation: Any,
    backend: Any,
    inputs: Sequence[Any],
    edges: list[Edge | None],
    settings: dict,
    result: tuple[Any, Any],
    constants: Sequence[int],
) -> Any:
    """The value as Tensors, with a node behind them if there is anything to differentiate."""
    value, pullback = result if type(result) is tuple else _no_pullback(operation, result)
    several = type(value) is tuple
    outputs = list(value) if several else [value]
    for i, x in enumerate(outputs):
        if type(x) not in by_type:
            outputs[i] = backend.asarray(x)  # NumPy makes scalars of results without axes
    node = None
    if pullback is None or not mode.record or not any(edges):
        tensors = [Tensor(x) for x in outputs]
    else:
        node = _node(mode, operation, inputs, edges, settings, pullback, outputs)
        tensors = [
            Tensor(x, (node, i) if x.dtype.kind == "f" and i not in constants else None)
            for i, x in enumerate(outputs)
        ]
    if mode.watch:
        for watcher in mode.watch:
            watcher.ran(operation, inputs, outputs, node)
    return tuple(tensors) if several else tensors[0]


def _no_pullback(operation: Any, result: Any) -> Any:
    """Raise for a body that gave something else than a pair."""
    raise GradientError(
        f"{operation.__name__}: the body gave {describe(result)}; needs a value and its pullback, "
        "which is None where there is no derivative"
    )


def _node(
    mode: Mode,
    operation: Any,
    inputs: Sequence[Any],
    edges: list[Edge | None],
    settings: dict,
    pullback: Any,
    outputs: list[Any],
) -> Node:
    """What is remembered of an operation."""
    if type(pullback) is Joint:
        pullback = pullback(tuple([edge is not None for edge in edges]))
    if type(pullback) is tuple and len(pullback) != len(edges):
        raise GradientError(
            f"{operation.__name__}: the body gave {len(pullback)} pullbacks for {len(edges)} "
            "arrays; needs one for each (None: no derivative), or one function for all of them"
        )
    if type(pullback) is tuple and (None in edges or None in pullback):
        # What nobody wants is dropped, with all that it captured.
        edges = [edge if pull else None for edge, pull in zip(edges, pullback, strict=True)]
        pairs = zip(edges, pullback, strict=True)
        pullback = tuple([pull if edge else None for edge, pull in pairs])
    kept = None
    if mode.keep_inputs:
        # Snapshots: a later write may give an input another edge.
        copies = [Tensor(x.data, x.edge) if isinstance(x, Tensor) else x for x in inputs]
        kept = copies, settings
    return Node(operation, pullback, edges, [(x.shape, x.dtype) for x in outputs], kept)


def _explained(name: str, inputs: Sequence[Any], error: Exception) -> Exception:
    """The error to raise for one that an array library raised."""
    if isinstance(error, MinidlError):
        return error if str(error).startswith(name) else type(error)(f"{name}: {error}")
    return explain(name, inputs, error)
