"""From a body, written once, to an operation on Tensors: dispatch and recording.

    @primitive
    def multiply(xp, x1, x2, /):
        return x1 * x2, (lambda dz: dz * x2, lambda dz: dz * x1)

The body takes the namespace to compute in, the arrays (before the slash), and settings such as an
axis (after it).  It returns the value, and the pullback that carries the gradient of the value back
to the arrays: a tuple with one function for each array, or one function that returns the tuple (for
a single array: the gradient itself), or None where there is no derivative.

The same body runs on raw arrays for values and first derivatives, and on Tensors, with minidl's
own functions for `xp`, when a gradient is itself differentiated.

A call goes through `dispatch`, below: `gather` (`arguments.py`) takes the arrays out of the Tensors
and promotes them to one dtype; the backend's kernel of that name computes value and pullback, or if
there is none, the body does; `_record` wraps the value in a Tensor, with a Node behind it.  Whether
kernels are used and nodes recorded depends on the current mode (`mode.py`).
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, overload

import numpy as np

from minidl.autograd import autocast, namespace
from minidl.autograd.arguments import (
    Signature,
    common_backend,
    elsewhere,
    gather,
    with_tensors,
)
from minidl.autograd.graph import Edge, Node
from minidl.autograd.mode import Mode, current, without_autocast
from minidl.autograd.tensor import Tensor
from minidl.autograd.wide import in_float32
from minidl.backends import by_type, registry
from minidl.backends.joint import Joint
from minidl.dtypes import REAL, Rule, float16
from minidl.errors import (
    EXPLAINED,
    ArgumentError,
    GradientError,
    MinidlError,
    describe,
    raise_explained,
)

P = ParamSpec("P")  # the parameters of an operation: those of its body but for the namespace
Body = Callable[Concatenate[Any, P], Any]
Outputs = int | type[tuple] | type[list]


@overload
def primitive(body: Body[P], /) -> Callable[P, Tensor]: ...
@overload
def primitive(
    rule: Rule | None = ...,
    *,
    keep_dtype: Sequence[int] = ...,
    constants: Sequence[int] = ...,
    of_complex: bool = ...,
    wide: bool = ...,
) -> Callable[[Body[P]], Callable[P, Tensor]]: ...
@overload
def primitive(
    rule: Rule | None = ...,
    *,
    keep_dtype: Sequence[int] = ...,
    constants: Sequence[int] = ...,
    of_complex: bool = ...,
    wide: bool = ...,
    outputs: int | type[tuple],
) -> Callable[[Body[P]], Callable[P, tuple[Tensor, ...]]]: ...
def primitive(
    rule: Any = REAL,
    *,
    keep_dtype: Sequence[int] = (),
    constants: Sequence[int] = (),
    of_complex: bool = False,
    wide: bool = False,
    outputs: Outputs | None = None,
) -> Any:
    """Make an operation from a body that returns its value and its pullback.

    rule        which dtypes are accepted; the arrays are promoted to one before the body runs.
                REAL makes integers float32, NUMBER keeps them, ANY accepts bools too; ORDERED_REAL,
                ORDERED_NUMBER and ORDERED refuse complex numbers.  None: no check, no promotion
    keep_dtype  the positions of arrays that keep their own dtype, as indices do
    constants   the positions of outputs that have no derivative: the pullback gets None for these
    of_complex  whether the pullback is right for complex numbers too, in the engine's convention:
                that of a holomorphic function is the same as for real numbers.  Without it, complex
                inputs that require gradients raise a GradientError
    wide        compute with float16 inputs in float32, and round the results to float16: for sums
                and their like, which would lose digits, or overflow, on the way
    outputs     how many values the body returns, where it returns a tuple of them; `tuple` if that
                depends on the arguments.  It is checked, and type checkers read it

    >>> @minidl.primitive
    ... def cube(xp, x, /):
    ...     return x**3, lambda dy: dy * 3 * x**2
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> cube(x).sum().backward()
    >>> x.grad.tolist(), minidl.grad(minidl.grad(cube))(minidl.tensor(2.0)).item()
    ([3.0, 12.0], 12.0)
    """
    if callable(rule):
        return _operation(rule, REAL, (), (), False, None, False)
    if rule is not None and not isinstance(rule, Rule):
        raise ArgumentError(f"primitive: a rule is REAL, NUMBER, ANY or None; got {describe(rule)}")
    _check_positions("primitive", keep_dtype=keep_dtype, constants=constants)
    _check_outputs("primitive", outputs)
    return lambda body: _operation(body, rule, keep_dtype, constants, of_complex, outputs, wide)


@overload
def composite(body: Body[P], /) -> Callable[P, Tensor]: ...
@overload
def composite(
    *,
    keep_dtype: Sequence[int] = ...,
    constants: Sequence[int] = ...,
    wide: bool = ...,
    by_name: Sequence[str] = ...,
) -> Callable[[Body[P]], Callable[P, Tensor]]: ...
@overload
def composite(
    *,
    keep_dtype: Sequence[int] = ...,
    constants: Sequence[int] = ...,
    wide: bool = ...,
    outputs: int | type[tuple],
    by_name: Sequence[str] = ...,
) -> Callable[[Body[P]], Callable[P, tuple[Tensor, ...]]]: ...
@overload
def composite(
    *,
    keep_dtype: Sequence[int] = ...,
    constants: Sequence[int] = ...,
    wide: bool = ...,
    outputs: type[list],
    by_name: Sequence[str] = ...,
) -> Callable[[Body[P]], Callable[P, list[Tensor]]]: ...
def composite(
    body: Any = None,
    *,
    keep_dtype: Sequence[int] = (),
    constants: Sequence[int] = (),
    wide: bool = False,
    outputs: Outputs | None = None,
    by_name: Sequence[str] = (),
) -> Any:
    """Make an operation from a body that returns its value alone, computed from other operations.

    It is differentiated through these, except for the outputs at the positions `constants`.  Where
    a backend has a kernel of that name, values and first derivatives come from that instead.
    `wide` and `outputs` are as in `primitive`; `outputs` may also be `list`.

    keep_dtype the positions of arrays that have no influence on the dtype of the result, as masks
    by_name    optional arrays that may be given by name, too; in the body, they come right after
               the slash

    >>> @minidl.composite
    ... def half_norm(xp, x, /):
    ...     return 0.5 * xp.sum(x * x)
    >>> minidl.grad(half_norm)(minidl.tensor([3.0, 4.0])).tolist()
    [3.0, 4.0]
    """
    _check_positions("composite", keep_dtype=keep_dtype, constants=constants)
    _check_outputs("composite", outputs)

    def decorate(body: Callable[..., Any]) -> Any:
        return _operation(
            body, None, keep_dtype, constants, True, outputs, wide, composed=True, by_name=by_name
        )

    return decorate if body is None else decorate(body)


def _operation(
    body: Callable[..., Any],
    rule: Rule | None,
    keep_dtype: Sequence[int],
    constants: Sequence[int],
    of_complex: bool,
    outputs: Outputs | None,
    wide: bool,
    composed: bool = False,
    by_name: Sequence[str] = (),
) -> Any:
    """The public function of a body, which dispatches to a kernel or to the body itself.

    A primitive's body runs on raw arrays, as a kernel does.  A composite's body (`composed`) calls
    other operations: it runs on Tensors, and these operations are recorded instead.
    """
    signature = Signature(body, by_name)
    name = signature.name
    check_dtypes = rule is not None or not of_complex

    @wraps(body)
    def dispatch(*inputs: Any, **settings: Any) -> Any:
        if len(inputs) != signature.count:
            inputs, settings = signature.split(inputs, settings)
        if registry.several:
            device = elsewhere(signature, inputs)
            if device is not None:
                with registry.on(device):
                    return dispatch(*inputs, **settings)
        mode = current.get()
        if autocast.used and mode.autocast is not None:
            cast = mode.autocast.of(name, inputs, settings)
            if cast is not None:
                with without_autocast():
                    value = dispatch(*cast, **settings)
                return mode.autocast.results(name, inputs, value)
        use_kernels = mode.fast and not mode.save_inputs
        result = NotImplemented
        if use_kernels or not composed:
            arrays, edges, backend, are_complex = gather(
                signature, inputs, rule, keep_dtype, check_dtypes
            )
        try:
            if use_kernels:
                kernel = backend.kernel(name)
                if kernel is not None:
                    result = kernel(*arrays, **settings)
            if result is NotImplemented:  # no kernel, or not one for these inputs
                if wide and float16 in [getattr(x, "dtype", None) for x in inputs]:
                    return in_float32(operation, inputs, settings, keep_dtype)
                if composed:
                    return _compose(name, body, inputs, settings, constants, outputs)
                result = body(backend, *arrays, **settings)
        except (MinidlError, *EXPLAINED) as error:
            signature.check(inputs, settings)
            given = with_tensors(inputs)
            common_backend(signature, [x.data if isinstance(x, Tensor) else x for x in given])
            raise_explained(name, inputs, error)
        if are_complex and not of_complex:
            _refuse_complex(name, mode, inputs, edges, result)
        return _record(
            mode, operation, backend, inputs, edges, settings, result, constants, outputs
        )

    operation: Any = dispatch
    operation.__name__, operation.__signature__ = name, signature.public
    operation.body, operation.outputs, operation.wide = body, outputs, wide
    return operation


def _compose(
    name: str,
    body: Callable[..., Any],
    inputs: Sequence[Any],
    settings: dict[str, Any],
    constants: Sequence[int],
    outputs: Outputs | None,
) -> Any:
    """The value of a composite, computed on Tensors, so that its parts are recorded."""
    if not by_type.keys().isdisjoint(map(type, inputs)):
        inputs = with_tensors(inputs)
    tensors = [Tensor(x) if type(x) in by_type else x for x in inputs]
    value = body(namespace.differentiable, *tensors, **settings)
    if outputs is not None:
        _verify_outputs(name, value, outputs)
    if not constants:
        return value
    return tuple(x.detach() if i in constants else x for i, x in enumerate(value))


def _check_positions(name: str, **settings: Any) -> None:
    """Raise unless each setting is a list of non-negative integers."""
    for setting, given in settings.items():
        if not isinstance(given, Sequence) or not all(type(i) is int and i >= 0 for i in given):
            raise ArgumentError(
                f"{name}: {setting} is a list of positions, ≥ 0; got {describe(given)}"
            )


def _check_outputs(name: str, outputs: Any) -> None:
    """Raise unless `outputs` is a number of outputs, tuple, list or None."""
    a_number = type(outputs) is int and outputs > 0
    if not a_number and outputs not in (tuple, list, None):
        raise ArgumentError(f"{name}: outputs is a number, tuple or list; got {describe(outputs)}")


def _verify_outputs(name: str, value: Any, outputs: Outputs) -> None:
    """Raise unless the value is what the operation declares."""
    if isinstance(outputs, type):
        fits = type(value) is outputs
    else:
        fits = type(value) is tuple and len(value) == outputs
    if not fits:
        given = f"{len(value)} values" if type(value) is tuple else describe(value)
        raise GradientError(f"{name}: declares outputs={outputs}; the body gave {given}")


def _refuse_complex(
    name: str, mode: Mode, inputs: Sequence[Any], edges: list[Edge | None], result: tuple[Any, Any]
) -> None:
    """Raise if an operation whose pullback is for real numbers is to be recorded."""
    if mode.record and result[1] is not None and any(edges):
        raise GradientError(
            f"{name}({', '.join(map(describe, inputs))}): has no gradient of complex numbers; "
            "compute it from real, imag and abs, or detach() them"
        )


def _record(
    mode: Mode,
    operation: Any,
    backend: Any,
    inputs: Sequence[Any],
    edges: list[Edge | None],
    settings: dict[str, Any],
    result: Any,
    constants: Sequence[int],
    outputs: Outputs | None,
) -> Any:
    """The value as Tensors, with a node behind them if there is anything to differentiate."""
    try:
        value, pullback = result if type(result) is tuple else _no_pullback(operation, result)
    except ValueError:
        _no_pullback(operation, result)
    several = type(value) is tuple
    if outputs is not None:
        _verify_outputs(operation.__name__, value, outputs)
    arrays = list(value) if several else [value]
    for i, x in enumerate(arrays):
        if type(x) not in by_type:
            arrays[i] = _as_array(operation, backend, x)
    node = None
    if pullback is None or not mode.record or not any(edges):
        tensors = [Tensor(x) for x in arrays]
    else:
        varying = [None if i in constants else (x.shape, x.dtype) for i, x in enumerate(arrays)]
        node = _node(mode, operation, inputs, edges, settings, pullback, varying)
        tensors = [
            Tensor(x, (node, i) if x.dtype.kind in "fc" and i not in constants else None)
            for i, x in enumerate(arrays)
        ]
    if mode.observers:
        for observer in mode.observers:
            observer.ran(operation, inputs, arrays, node)
    return tuple(tensors) if several else tensors[0]


def _as_array(operation: Any, backend: Any, x: Any) -> Any:
    """A value as an array: NumPy returns scalars instead of arrays without axes."""
    if not isinstance(x, np.generic | int | float | complex | Tensor):
        raise GradientError(
            f"{operation.__name__}: the body gave {describe(x)} as a value; needs an array, or a "
            "tuple of arrays"
        )
    return backend.asarray(x)


def _no_pullback(operation: Any, result: Any) -> Any:
    """Raise for a body that did not return a pair."""
    raise GradientError(
        f"{operation.__name__}: the body gave {describe(result)}; needs a value and its pullback, "
        "which is None where there is no derivative"
    )


def _node(
    mode: Mode,
    operation: Any,
    inputs: Sequence[Any],
    edges: list[Edge | None],
    settings: dict[str, Any],
    pullback: Any,
    outputs: list[Any],
) -> Node:
    """The node of an operation: what backward needs of it."""
    if type(pullback) is Joint:
        pullback = pullback(tuple([edge is not None for edge in edges]))
    if type(pullback) is tuple and len(pullback) != len(edges):
        raise GradientError(
            f"{operation.__name__}: the body gave {len(pullback)} pullbacks for {len(edges)} "
            "arrays; needs one for each (None: no derivative), or one function for all of them"
        )
    if type(pullback) is tuple and (None in edges or None in pullback):
        # Pullbacks that nobody needs are dropped, with all that they captured.
        edges = [edge if pull else None for edge, pull in zip(edges, pullback, strict=True)]
        pairs = zip(edges, pullback, strict=True)
        pullback = tuple([pull if edge else None for edge, pull in pairs])
    saved = None
    if mode.save_inputs:
        # Snapshots: a later write may give an input another edge.
        copies = [Tensor(x.data, x.edge) if isinstance(x, Tensor) else x for x in inputs]
        saved = copies, settings
    return Node(operation, pullback, edges, outputs, saved)
