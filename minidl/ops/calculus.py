"""Derivatives by differences, and integrals by the trapezoidal rule, of sampled functions."""

from minidl.autograd.primitive import composite
from minidl.checks import check_numbers, is_real
from minidl.errors import ArgumentError, ShapeError, describe
from minidl.ops.axes import along, axes_of, one_axis
from minidl.ops.casting import differences, narrowed, widened
from minidl.ops.creation import asarray


@composite(outputs=tuple)
def gradient(xp, x, /, *, spacing=1.0, axis=None, edge_order=1):
    """The slopes of a sampled function: differences of second order inside, one-sided at the ends.

    y_i = (h₁²·x_(i+1) + (h₂² − h₁²)·x_i − h₂²·x_(i−1)) / (h₁·h₂·(h₁ + h₂)), where h₁ and h₂ are
    the distances to the sample before and behind; (x_(i+1) − x_(i−1)) / 2h if they are equal.  The
    derivatives of functions, rather than samples, are `minidl.grad`.

    spacing       the distance of samples, or a vector of their coordinates; a tuple of these, one
                  for each axis
    axis          an int, a tuple, or None for all axes
    edge_order    1 or 2: the order of the differences at the ends
    gives         a tuple with a tensor for each axis, as PyTorch's; NumPy's is bare for one axis

    Raises ShapeError for an axis of fewer than edge_order + 1 samples.

    >>> minidl.gradient(minidl.tensor([1.0, 4.0, 9.0, 16.0]))
    (Tensor([3., 4., 6., 7.], float32),)
    >>> minidl.gradient(minidl.tensor([1.0, 4.0, 9.0, 16.0]), edge_order=2)
    (Tensor([2., 4., 6., 8.], float32),)
    """
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order is 1 or 2; got {describe(edge_order)}")
    axes = [one_axis(x, i) for i in axes_of(x, axis)]
    each = tuple(spacing) if isinstance(spacing, tuple | list) else (spacing,) * len(axes)
    if len(each) != len(axes):
        raise ArgumentError(f"gradient: spacing is of {len(each)} axes; needs {len(axes)}")
    return tuple(_slope(xp, x, h, i, edge_order) for h, i in zip(each, axes, strict=True))


def _slope(xp, x, spacing, axis, edge_order):
    """The slopes along one axis."""
    n = x.shape[axis]
    if n < edge_order + 1:
        raise ShapeError(
            f"gradient: needs at least {edge_order + 1} samples along axis {axis}; got {x.shape}"
        )
    steps = _steps(xp, spacing, x, axis)
    slopes = differences(xp, x, along(axis, 1), along(axis, 0, -1)) / steps
    first, last = slopes[along(axis, 0, 1)], slopes[along(axis, -1)]
    if n == 2:
        return _narrowed(xp, xp.concat([first, last], axis=axis), x, spacing)
    # Each inner slope is the mean of the two beside it, the nearer one weighing more.
    before, behind = _part(steps, axis, 0, -1), _part(steps, axis, 1, None)
    left, right = slopes[along(axis, 0, -1)], slopes[along(axis, 1)]
    inner = (behind * left + before * right) / (before + behind)
    if edge_order == 2:  # the parabola through the three samples at each end
        h1, h2 = _part(steps, axis, 0, 1), _part(steps, axis, 1, 2)
        first = first - (right[along(axis, 0, 1)] - first) * h1 / (h1 + h2)
        h2, h1 = _part(steps, axis, -2, -1), _part(steps, axis, -1, None)
        last = last + (last - left[along(axis, -1)]) * h1 / (h1 + h2)
    return _narrowed(xp, xp.concat([first, inner, last], axis=axis), x, spacing)


def _steps(xp, spacing, x, axis):
    """The distances of the samples: a number, or a tensor that broadcasts along the axis."""
    if is_real(spacing):
        check_numbers("gradient", finite=True, spacing=spacing)
    elif hasattr(spacing, "shape") and not spacing.ndim:
        spacing = asarray(spacing)
    else:
        spacing = _differences(xp, "gradient: spacing", spacing, x, axis)
    if bool((asarray(spacing) == 0).any()):
        raise ArgumentError("gradient: spacing is a distance, not 0; two samples have one place")
    return spacing


def _differences(xp, name, places, x, axis):
    """The distances of coordinates, as a tensor that broadcasts along the axis of x."""
    if getattr(places, "ndim", None) != 1 or places.dtype.kind not in "iuf":
        raise ArgumentError(f"{name} is a vector of real numbers; got {describe(places)}")
    if places.shape[0] != x.shape[axis]:
        raise ShapeError(
            f"{name} has a coordinate for each of {x.shape[axis]} samples; got {places.shape}"
        )
    steps = differences(xp, asarray(places), slice(1, None), slice(0, -1))
    return xp.reshape(steps, (-1,) + (1,) * (x.ndim - axis - 1))


def _narrowed(xp, result, samples, places):
    """The result in the dtype of the samples and their places, if these are not just a number."""
    return narrowed(xp, result, samples, *([places] if hasattr(places, "dtype") else []))


def _part(steps, axis, start, stop):
    """These of the steps, which are the first axis of a tensor; or the one number for all."""
    return steps[start:stop] if getattr(steps, "ndim", 0) else steps


def _panels(xp, name, y, x, dx, axis):
    """The areas between neighbouring samples, along the axis, which counts from the front."""
    axis = one_axis(y, axis)
    if x is None:
        check_numbers(name, dx=dx)
        steps = dx
    elif getattr(x, "ndim", 0) > 1:
        if x.shape != y.shape:
            raise ShapeError(f"{name}: x is a vector, or of the shape of y; got {describe(x)}")
        steps = differences(xp, asarray(x), along(axis, 1), along(axis, 0, -1))
    else:
        steps = _differences(xp, f"{name}: x", x, y, axis)
    y = widened(xp, y)
    return (y[along(axis, 0, -1)] + y[along(axis, 1)]) * steps / 2, axis


@composite
def trapezoid(xp, y, /, x=None, *, dx=1.0, axis=-1):
    """The integral of samples y by the trapezoidal rule: Σ (x_(i+1) − x_i)·(y_i + y_(i+1)) / 2.

    x    the coordinates of the samples, a vector or of the shape of y; differentiable
    dx   without x, the distance of samples

    >>> minidl.trapezoid(minidl.tensor([0.0, 1.0, 4.0]))
    Tensor(3., float32)
    >>> minidl.trapezoid(minidl.tensor([0.0, 1.0, 4.0]), minidl.tensor([0.0, 2.0, 3.0]))
    Tensor(3.5, float32)
    """
    areas, axis = _panels(xp, "trapezoid", y, x, dx, axis)
    return _narrowed(xp, xp.sum(areas, axis=axis), y, x)


@composite
def cumulative_trapezoid(xp, y, /, x=None, *, dx=1.0, axis=-1):
    """The integrals of samples y up to the second, the third, … by the trapezoidal rule.

    One fewer than samples.  x, dx    as for trapezoid

    >>> minidl.cumulative_trapezoid(minidl.tensor([0.0, 1.0, 4.0]))
    Tensor([0.5, 3. ], float32)
    """
    areas, axis = _panels(xp, "cumulative_trapezoid", y, x, dx, axis)
    return _narrowed(xp, xp.cumulative_sum(areas, axis=axis), y, x)
