"""Vectorizing map: a function of one example becomes a function of a batch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from minidl.autograd import namespace
from minidl.autograd.functional import check_function
from minidl.autograd.tensor import Tensor
from minidl.errors import (
    ArgumentError,
    DTypeError,
    MinidlError,
    ShapeError,
    describe,
    raise_explained,
)


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """A function of batches: f of each of their slices, with the results stacked.

    f is called once for each slice.  So it may contain any Python code, but a batch of n takes n
    times as long as one example: where speed matters, write f with operations on whole batches.
    Random numbers differ between slices.  `vmap(grad(f))` gives per-example gradients, which the
    gradient of a mean over the batch does not.

    in_axes     the batch axis of the arguments: an integer, or a tuple with one for each of them;
                None for an argument that every slice shares.  For an argument that is a tuple of
                tensors: one for all of them, or a tuple in its turn
    out_axes    the batch axis of the results: an integer, or a tuple for an f that returns one

    f returns a tensor, or nested tuples of tensors, of the same shapes in all calls.  Keyword
    arguments are passed unchanged.

    Raises AxisError for an axis that an argument does not have, ShapeError if batch sizes or the
    shapes of results differ, or a batch is empty.

    >>> loss = lambda w, x, y: (w @ x - y) ** 2
    >>> w, x, y = minidl.tensor([1.0, 2.0]), minidl.tensor([[1.0, 0.0], [0.0, 3.0]]), minidl.ones(2)
    >>> minidl.vmap(minidl.grad(loss), in_axes=(None, 0, 0))(w, x, y)
    Tensor([[ 0.,  0.],
            [ 0., 30.]], shape=(2, 2), float32)
    >>> minidl.vmap(minidl.vmap(lambda a, b: a * b, (None, 0)), (0, None))(x[1], y).shape
    (2, 2)
    """
    check_function("vmap", f)

    def of_batches(*args: Any, **kwargs: Any) -> Any:
        counts: dict[str, int] = {}
        take = _slicer(args, in_axes, "", counts)
        if not counts or len(set(counts.values())) > 1 or 0 in counts.values():
            sizes = ", ".join(f"{count} of argument {where}" for where, count in counts.items())
            raise ShapeError(
                "vmap: needs as many slices of each argument, and one at least; got "
                f"{sizes or f'in_axes={in_axes!r:.60}'}"
            )
        results = [f(*take(i), **kwargs) for i in range(next(iter(counts.values())))]
        return _stacked(results, out_axes, "")

    return of_batches


def _slicer(given: Any, axis: Any, where: str, counts: dict[str, int]) -> Callable[[int], Any]:
    """A function that returns slice i of a tensor, or of each tensor in a tuple.

    where     the position of the argument: "0", or "0[1]" for one inside a tuple
    counts    is filled with the batch size of each tensor
    """
    if axis is None:
        return lambda i: given
    if type(given) is tuple:
        parts = [
            _slicer(part, part_axis, f"{where}[{k}]" if where else str(k), counts)
            for k, (part, part_axis) in enumerate(_each("in_axes", axis, given))
        ]
        return lambda i: tuple(take(i) for take in parts)
    try:
        slices = namespace.differentiable.unstack(
            namespace.differentiable.asarray(given), axis=axis
        )
    except MinidlError as error:
        raise_explained(f"vmap: argument {where}", [], error)
    counts[where] = len(slices)
    return slices.__getitem__


def _stacked(results: Sequence[Any], axis: Any, where: str) -> Any:
    """The results of all calls stacked, nested like each of them."""
    first = results[0]
    if type(first) is tuple:
        if any(type(y) is not tuple or len(y) != len(first) for y in results):
            raise ShapeError(f"vmap: f gave tuples of {len(first)}, but not in every call")
        columns = zip(*results, strict=True)
        return tuple(
            _stacked(column, part_axis, f"{where}[{k}]")
            for k, (column, part_axis) in enumerate(_each("out_axes", axis, tuple(columns)))
        )
    for y in results:
        if not isinstance(y, Tensor) or y.shape != first.shape:
            raise (ShapeError if isinstance(y, Tensor) else DTypeError)(
                f"vmap: f gives tensors of one shape, or tuples of them; got {describe(first)} and "
                f"{describe(y)}"
            )
    try:
        return namespace.differentiable.stack(results, axis=axis)
    except MinidlError as error:
        raise_explained(f"vmap: out_axes of f(…){where}", [], error)


def _each(name: str, axis: Any, parts: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
    """Each part, with its axis."""
    axes = axis if isinstance(axis, tuple | list) else (axis,) * len(parts)
    if len(axes) != len(parts):
        raise ArgumentError(f"vmap: {name} {axis!r:.60} is for {len(axes)}; got {len(parts)}")
    return zip(parts, axes, strict=True)
