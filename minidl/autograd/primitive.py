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

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import numpy as np

from minidl.autograd import engine
from minidl.autograd.arguments import Arguments, gather, one_backend
from minidl.autograd.graph import Edge, Node
from minidl.autograd.mode import Mode, current
from minidl.autograd.tensor import Tensor
from minidl.backends import by_type
from minidl.backends.joint import Joint
from minidl.dtypes import REAL, Rule
from minidl.errors import (
    EXPLAINED,
    ArgumentError,
    GradientError,
    MinidlError,
    describe,
    explain,
)


def primitive(
    rule: Rule | Callable[..., Any] | None = REAL,
    *,
    apart: Sequence[int] = (),
    constants: Sequence[int] = (),
    of_complex: bool = False,
) -> Any:
    """Make an operation of a body that gives its value and its pullback.

    rule        what is asked of the dtypes of the arrays, which become one before the body runs:
                REAL, NUMBER or ANY, or their ORDERED kin, which refuse complex numbers; None
                leaves them as they are
    apart       the positions of arrays that keep their own dtype, as indices do
    constants   the positions of outputs that have no derivative
    of_complex  the pullback is right for complex numbers too, as the engine has them: that of a
                holomorphic function is the same as for real numbers.  Without it, complex inputs
                that require gradients are a GradientError

    >>> @minidl.primitive
    ... def cube(xp, x, /):
    ...     return x**3, lambda dy: dy * 3 * x**2
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> cube(x).sum().backward()
    >>> x.grad.tolist(), minidl.grad(minidl.grad(cube))(minidl.tensor(2.0)).item()
    ([3.0, 12.0], 12.0)
    """
    if callable(rule):
        return primitive()(rule)
    if rule is not None and not isinstance(rule, Rule):
        raise ArgumentError(f"primitive: a rule is REAL, NUMBER, ANY or None; got {describe(rule)}")
    _check_positions("primitive", apart=apart, constants=constants)

    def decorate(body: Callable[..., Any]) -> Callable[..., Any]:
        split = Arguments(body)
        name = split.name
        asks = rule is not None or not of_complex  # whether the dtypes matter at all

        @wraps(body)
        def operation(*inputs: Any, **settings: Any) -> Any:
            if len(inputs) != split.count:
                inputs, settings = split(inputs, settings)
            mode = current.get()
            arrays, edges, backend, are_complex = gather(split, inputs, rule, apart, asks)
            run = body
            if mode.fast and not mode.keep_inputs:
                run = backend.kernel(name) or body
            try:
                result = (
                    run(backend, *arrays, **settings) if run is body else run(*arrays, **settings)
                )
                if result is NotImplemented:
                    result = body(backend, *arrays, **settings)
            except (MinidlError, *EXPLAINED) as error:
                split.check(inputs, settings)
                raise explain(name, inputs, error) from error
            if are_complex and not of_complex:
                _refuse_complex(name, mode, inputs, edges, result)
            return _record(mode, operation, backend, inputs, edges, settings, result, constants)

        return split.dress(operation)

    return decorate


def composite(
    body: Callable[..., Any] | None = None, *, constants: Sequence[int] = ()
) -> Callable[..., Any]:
    """Make an operation of a body that only gives its value, computed from other operations.

    It is differentiated through its parts, but for the outputs at the positions `constants`.
    Where a backend has a kernel of its name, first-order work uses that instead.

    >>> @minidl.composite
    ... def half_norm(xp, x, /):
    ...     return 0.5 * xp.sum(x * x)
    >>> minidl.grad(half_norm)(minidl.tensor([3.0, 4.0])).tolist()
    [3.0, 4.0]
    """
    _check_positions("composite", constants=constants)
    if body is None:
        return partial(composite, constants=constants)
    split = Arguments(body)
    name = split.name

    @wraps(body)
    def operation(*inputs: Any, **settings: Any) -> Any:
        if len(inputs) != split.count:
            inputs, settings = split(inputs, settings)
        mode = current.get()
        if mode.fast and not mode.keep_inputs:
            arrays, edges, backend, _ = gather(split, inputs, None, (), False)
            kernel = backend.kernel(name)
            try:
                result = NotImplemented if kernel is None else kernel(*arrays, **settings)
            except (MinidlError, *EXPLAINED) as error:
                split.check(inputs, settings)
                raise explain(name, inputs, error) from error
            if result is not NotImplemented:
                return _record(mode, operation, backend, inputs, edges, settings, result, constants)
        tensors = [Tensor(x) if type(x) in by_type else x for x in inputs]
        try:
            value = body(engine.differentiable, *tensors, **settings)
        except (MinidlError, *EXPLAINED) as error:
            split.check(inputs, settings)
            one_backend(split, [x.data if isinstance(x, Tensor) else x for x in inputs])
            raise explain(name, inputs, error) from error
        if not constants:
            return value
        return tuple(x.detach() if i in constants else x for i, x in enumerate(value))

    return split.dress(operation)


def _check_positions(name: str, **settings: Any) -> None:
    """Raise for what is no list of whole numbers from 0 on."""
    for setting, given in settings.items():
        if not isinstance(given, Sequence) or not all(type(i) is int and i >= 0 for i in given):
            raise ArgumentError(
                f"{name}: {setting} is a list of positions, from 0 on; got {describe(given)}"
            )


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
    settings: dict,
    result: tuple[Any, Any],
    constants: Sequence[int],
) -> Any:
    """The value as Tensors, with a node behind them if there is anything to differentiate."""
    try:
        value, pullback = result if type(result) is tuple else _no_pullback(operation, result)
    except ValueError:
        _no_pullback(operation, result)
    several = type(value) is tuple
    outputs = list(value) if several else [value]
    for i, x in enumerate(outputs):
        if type(x) not in by_type:
            outputs[i] = _array_of(operation, backend, x)
    node = None
    if pullback is None or not mode.record or not any(edges):
        tensors = [Tensor(x) for x in outputs]
    else:
        node = _node(mode, operation, inputs, edges, settings, pullback, outputs)
        tensors = [
            Tensor(x, (node, i) if x.dtype.kind in "fc" and i not in constants else None)
            for i, x in enumerate(outputs)
        ]
    if mode.watch:
        for watcher in mode.watch:
            watcher.ran(operation, inputs, outputs, node)
    return tuple(tensors) if several else tensors[0]


def _array_of(operation: Any, backend: Any, x: Any) -> Any:
    """A result as an array: NumPy makes scalars of those without axes."""
    if not isinstance(x, np.generic | int | float | complex | Tensor):
        raise GradientError(
            f"{operation.__name__}: the body gave {describe(x)} as a value; needs an array, or a "
            "tuple of arrays"
        )
    return backend.asarray(x)


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
