"""Functions of one example as functions of a batch of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from minidl.autograd import namespace
from minidl.autograd.functional import check_function
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, MinidlError, ShapeError, describe, explain


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """A function of batches: f of each of their slices, and its results stacked.

    f is called once for each slice, so that anything may happen in it, and a batch of n takes n
    times as long as one example: write f with operations on whole batches where speed matters.
    Random numbers are others for each slice.  `vmap(grad(f))` gives a gradient for each example,
    which the gradient of a mean over the batch does not show.

    in_axes     which axis of the arguments counts the slices: a number, or a tuple with one for
                each of them; None for an argument that all slices get as it is.  Where an argument
                is a tuple of tensors, what is said of it holds for all, or is a tuple of its own
    out_axes    which axis of the results is to count them: a number, or a tuple as f gives

    f gives a tensor, or nested tuples of tensors, of one shape in all calls.  Keyword arguments
    are passed on as they are.

    Raises AxisError for an axis that an argument does not have, ShapeError where numbers of slices
    or shapes of results differ, or there are no slices.

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
        take = _taker(args, in_axes, "", counts)
        if not counts or len(set(counts.values())) > 1 or 0 in counts.values():
            found = ", ".join(f"{count} of argument {where}" for where, count in counts.items())
            raise ShapeError(
                "vmap: needs as many slices of each argument, and one at least; got "
                f"{found or f'in_axes={in_axes!r:.60}'}"
            )
        results = [f(*take(i), **kwargs) for i in range(next(iter(counts.values())))]
        return _stacked(results, out_axes, "")

    return of_batches


def _taker(given: Any, axis: Any, where: str, counts: dict[str, int]) -> Callable[[int], Any]:
    """A function that gives slice i of a tensor, or of those in tuples.

    where     the position of the argument: "0", or "0[1]" of one inside
    counts    gets how many slices there are of each tensor
    """
    if axis is None:
        return lambda i: given
    if type(given) is tuple:
        parts = [
            _taker(part, part_axis, f"{where}[{k}]" if where else str(k), counts)
            for k, (part, part_axis) in enumerate(_each("in_axes", axis, given))
        ]
        return lambda i: tuple(take(i) for take in parts)
    try:
        slices = namespace.differentiable.unstack(
            namespace.differentiable.asarray(given), axis=axis
        )
    except MinidlError as error:
        raise explain(f"vmap: argument {where}", [], error) from error
    counts[where] = len(slices)
    return slices.__getitem__


def _stacked(results: Sequence[Any], axis: Any, where: str) -> Any:
    """The results of all calls as one, nested as each of them is."""
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
        raise explain(f"vmap: out_axes of f(…){where}", [], error) from error


def _each(name: str, axis: Any, parts: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
    """Each part, with its axis."""
    axes = axis if isinstance(axis, tuple | list) else (axis,) * len(parts)
    if len(axes) != len(parts):
        raise ArgumentError(f"vmap: {name} {axis!r:.60} is for {len(axes)}; got {len(parts)}")
    return zip(parts, axes, strict=True)
