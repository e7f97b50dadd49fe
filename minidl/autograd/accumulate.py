"""Accumulation: what happens to a gradient between two pullbacks, and where it leaves the graph.

A pullback need not care about broadcasting and dtypes: here its result gets the shape and the dtype
of the input that it belongs to.

Complex gradients, K. Kreutz-Delgado 2009, arXiv:0906.4835: see the engine.
"""

from typing import Any

from minidl.autograd import namespace
from minidl.autograd.mode import no_grad
from minidl.autograd.namespace import namespace_of
from minidl.backends import backend_of, by_type
from minidl.backends.registry import create, device_of
from minidl.backends.rows import RowGradient
from minidl.errors import GradientError, describe


def clear_gradient(leaf: Any, set_to_none: bool) -> None:
    """No gradient of a leaf, or zeros written into it, if it has one: who holds it sees them."""
    gradient = None if set_to_none else leaf.grad
    if set_to_none:
        leaf.edge[0].grad = None
    elif isinstance(gradient, RowGradient):
        leaf.grad = RowGradient(gradient.indices[:0], gradient.rows[:0], gradient.shape)
    elif gradient is not None:
        leaf.grad = gradient.detach()
        with no_grad():
            leaf.grad[...] = 0


def fit(gradient: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """The gradient in the shape and dtype of its input."""
    if not hasattr(gradient, "shape"):
        raise _not_an_array(gradient, shape, dtype)
    if gradient.shape != shape:
        gradient = sum_to_shape(gradient, shape)
    if gradient.dtype is not dtype:
        gradient = to_dtype(gradient, dtype)
    return gradient


def sum_to_shape(gradient: Any, shape: tuple[int, ...]) -> Any:
    """The adjoint of broadcasting: an input that was repeated gets the sum over its copies."""
    xp, extra = namespace_of(gradient), len(gradient.shape) - len(shape)
    if extra >= 0:
        copied = (1,) * extra + shape
        axes = tuple([i for i, n in enumerate(gradient.shape) if n != 1 == copied[i]])
        if axes:  # one sum, which rounds once
            gradient = xp.sum(gradient, axis=axes, keepdims=True)
        if extra and gradient.shape == copied:
            gradient = xp.reshape(gradient, shape)
    if gradient.shape != shape:
        raise GradientError(f"a pullback gave shape {gradient.shape} for an input of shape {shape}")
    return gradient


def to_dtype(gradient: Any, dtype: Any) -> Any:
    """The adjoint of a conversion; a real input of complex arithmetic gets the real part."""
    if gradient.dtype.kind not in "fcbiu":
        raise _not_an_array(gradient, gradient.shape, dtype)
    if gradient.dtype.kind == "c" and dtype.kind != "c":
        gradient = namespace_of(gradient).real(gradient)
    return gradient.astype(dtype)


def dense(dys: list[Any], outputs: list[tuple[tuple[int, ...], Any] | None]) -> list[Any]:
    """An array for every output but constants: zeros for unused ones, row gradients made dense."""
    arrays = [dy.dense() if type(dy) is RowGradient else dy for dy in dys]
    device = device_of(next(dy for dy in arrays if dy is not None))
    return [
        dy if dy is not None or own is None else create(device, "zeros", own[0], dtype=own[1])
        for own, dy in zip(outputs, arrays, strict=True)
    ]


def _not_an_array(given: Any, shape: tuple[int, ...], dtype: Any) -> GradientError:
    """The error of a pullback that did not return an array."""
    return GradientError(
        f"a pullback gave {describe(given)} for an input {dtype} {shape}; needs an array; an input "
        "without a derivative has None instead of its pullback, or zeros for its gradient"
    )


def wrong_count(given: int, inputs: int) -> GradientError:
    """The error of a pullback that did not return one gradient for each input."""
    return GradientError(
        f"a pullback gave {given} gradients for {inputs} inputs; needs a tuple with one for each"
    )


def leave_graph(gradient: Any, shared: set[int]) -> Any:
    """The gradient as users see it: conjugated if complex, and an array that nobody else holds.

    A view is copied, and so is an array whose id is in `shared`; the result's id joins them.  A
    RowGradient is coalesced, by which its rows become new ones.
    """
    if type(gradient) not in by_type:
        if type(gradient) is RowGradient:
            return gradient.coalesce()
        backend = backend_of(gradient)
        if backend is None:  # a Tensor or None
            is_complex = gradient is not None and gradient.dtype.kind == "c"
            return namespace.differentiable.conj(gradient) if is_complex else gradient
        gradient = backend.asarray(gradient)
    if gradient.dtype.kind == "c":
        backend = by_type[type(gradient)]
        gradient = backend.asarray(backend.conj(gradient))
    if gradient.base is not None or id(gradient) in shared:
        gradient = gradient.copy()
    shared.add(id(gradient))
    return gradient


def add(a: Any, b: Any) -> Any:
    """a + b as an array: NumPy makes a scalar of the sum of two arrays without axes.

    RowGradients are coalesced: otherwise they would grow with each one added.
    """
    total = a + b
    if type(total) is RowGradient:
        return total.coalesce()
    backend = None if type(total) in by_type else backend_of(total)
    return total if backend is None else backend.asarray(total)
