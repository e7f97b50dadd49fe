"""Gradient checking by finite differences."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl import ops
from minidl.autograd.functional import gradients
from minidl.autograd.mode import higher_order
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, describe

_ATTEMPTS = 10  # the number of points tried before a function counts as not differentiable
_SHIFT = 1e-3  # how far a point is moved, relative to 1 + |x|
_JUMP = 1e-3  # one-sided slopes with a larger relative difference indicate a kink


def gradcheck(
    function: Callable[..., Any],
    *inputs: Any,
    order: int = 2,
    step: float = 1e-6,
    tolerance: float = 1e-6,
) -> bool:
    """Check the gradients of a function against central finite differences.

    The directional derivative of φ(x) = Σ c·f(x), with random weights c and a random direction d,
    is compared with

        (φ(x + h·d) − φ(x − h·d)) / 2h  ≈  ∇φ(x)·d

    and then, up to `order`, the derivative of ∇φ·d likewise.  Returns True, or raises
    AssertionError with the order of the derivative, both values, and the input and element whose
    derivative is furthest off.

    function     returns a tensor, or tuples of tensors; outputs that are not floats are ignored
    inputs       float64 tensors or arrays; integers and bools are passed on, not differentiated
    order        the highest derivative to check
    step         h
    tolerance    how far the two may differ, relative to the larger of them or to 1

    Where f is not differentiable (the one-sided slopes differ, however small the step), x is moved
    at random by about 0.001·(1 + |x|) and the check repeated, at ten points at most.

    AssertionError: a derivative is wrong or NaN.  DTypeError: float or complex inputs of another
    dtype than float64.  ArgumentError: inputs that are NaN or infinite.

    >>> from minidl.testing import gradcheck
    >>> gradcheck(minidl.sin, minidl.tensor([0.1, 2.0], dtype="float64"), order=3)
    True
    >>> @minidl.primitive
    ... def cube(xp, x, /):
    ...     return x**3, lambda dy: dy * 2 * x**2
    >>> gradcheck(cube, np.array([1.0, 2.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: derivative 1 of cube: the gradient says ..., differences say ...
    in input 0, element [1] is furthest off: the gradient says ..., differences say ...
    """
    if not isinstance(order, int) or order < 1:
        raise ArgumentError(f"gradcheck: order={order!r}; needs an integer ≥ 1")
    return _check("gradcheck", function, inputs, range(1, order + 1), step, tolerance)


def gradgradcheck(
    function: Callable[..., Any], *inputs: Any, step: float = 1e-6, tolerance: float = 1e-6
) -> bool:
    """Check the second derivatives of a function against finite differences of its gradient.

    Unlike `gradcheck`, which checks all derivatives up to its order, this checks the second alone:
    the first may be wrong, as long as the second is its derivative.

    >>> from minidl.testing import gradgradcheck
    >>> gradgradcheck(lambda x, w: minidl.tanh(x @ w), np.ones((2, 3)), np.full((3, 1), 0.1))
    True
    """
    return _check("gradgradcheck", function, inputs, (2,), step, tolerance)


def _check(
    name: str,
    function: Callable[..., Any],
    inputs: Sequence[Any],
    levels: Sequence[int],
    step: float,
    tolerance: float,
) -> bool:
    """Check the derivatives of these orders, at the first point where the function has them."""
    for setting, value in (("step", step), ("tolerance", tolerance)):
        if not (isinstance(value, int | float) and 0 < value < math.inf):
            raise ArgumentError(f"{name}: {setting}={value!r}; needs a number above 0")
    if not callable(function):
        raise DTypeError(f"{name}: the function is {describe(function)}; needs something to call")
    f = _FloatFunction(name, function, inputs)
    rng = np.random.default_rng(0)
    points, moved = f.points, ""
    for attempt in range(_ATTEMPTS):
        try:
            _Check(f, points, levels, step, tolerance).run(rng, moved)
        except _NotDifferentiable:
            moved = f"\n(the point was moved {attempt + 1} times: f had no derivative there)"
            points = [
                np.asarray(x + _SHIFT * (1 + np.abs(x)) * rng.normal(size=x.shape))
                for x in f.points
            ]
        else:
            return True
    raise AssertionError(
        f"{f.name} has no derivative at the point given, nor at {_ATTEMPTS - 1} points near "
        "it: the slopes ahead and behind differ"
    )


class _NotDifferentiable(Exception):  # noqa: N818
    """The function has no derivative at this point."""


class _FloatFunction:
    """The function of its float64 inputs alone, and the values of these inputs."""

    def __init__(self, name: str, function: Callable[..., Any], inputs: Sequence[Any]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", "the function")
        self.arrays = [ops.asarray(x).numpy() for x in inputs]
        self.positions = [i for i, a in enumerate(self.arrays) if a.dtype.kind not in "iub"]
        self.points = [np.array(self.arrays[i]) for i in self.positions]
        for i, a in zip(self.positions, self.points, strict=True):
            if a.dtype.kind == "c":
                raise DTypeError(
                    f"{name}: input {i} is {describe(a)}; needs real inputs: a complex function "
                    "can be checked as one of real and imaginary parts"
                )
            if a.dtype != np.float64:
                raise DTypeError(
                    f"{name}: input {i} is {describe(a)}; needs float64 inputs: rounding would "
                    "hide the differences"
                )
            if not np.isfinite(a).all():
                raise ArgumentError(f"{name}: input {i} has {_unusual(a)}; needs finite numbers")
        if not self.points:
            raise DTypeError(f"{name}: no input is float64: there is nothing to differentiate")
        self.caller = name

    def __call__(self, *floats: Tensor) -> list[Tensor]:
        """The float outputs."""
        filled = [ops.asarray(a) for a in self.arrays]
        for position, x in zip(self.positions, floats, strict=True):
            filled[position] = x
        outputs = list(self._flat(self.function(*filled)))
        if any(y.dtype.kind == "c" for y in outputs):
            raise DTypeError(f"{self.caller}: {self.name} gave complex numbers; needs real ones")
        floats_out = [y for y in outputs if y.dtype.kind == "f"]
        if not floats_out:
            raise DTypeError(f"{self.caller}: {self.name} gave no floats to differentiate")
        return floats_out

    def _flat(self, value: Any) -> Iterator[Tensor]:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            for part in value:
                yield from self._flat(part)
        else:
            raise DTypeError(
                f"{self.caller}: {self.name} gave {describe(value)}; needs tensors, or tuples"
            )


class _Check:
    """The check of a function at one point."""

    def __init__(
        self,
        function: _FloatFunction,
        points: Sequence[np.ndarray],
        levels: Sequence[int],
        step: float,
        tolerance: float,
    ) -> None:
        self.function, self.points, self.levels = function, points, levels
        self.step, self.tolerance = step, tolerance

    def run(self, rng: np.random.Generator, moved: str) -> None:
        outputs = self.function(*map(ops.asarray, self.points))
        for i, y in enumerate(outputs):
            if not np.isfinite(y.numpy()).all():
                raise AssertionError(
                    f"output {i} of {self.function.name} has {_unusual(y.numpy())}{moved}"
                )
        weights = [rng.normal(size=y.shape) for y in outputs]

        def value(*xs: Tensor) -> Tensor:
            ys = self.function(*xs)
            total: Any = sum((y * w).sum() for y, w in zip(ys, weights, strict=True))
            return total

        for level in range(1, max(self.levels) + 1):
            directions = [rng.normal(size=a.shape) for a in self.points]
            slope = _slope(value, directions)
            if level in self.levels:
                self.compare(value, slope, directions, level, moved)
            value = slope

    def compare(
        self,
        value: Callable[..., Tensor],
        slope: Callable[..., Tensor],
        directions: Sequence[np.ndarray],
        level: int,
        moved: str,
    ) -> None:
        """Raise unless the slope along the directions agrees with the central difference."""
        exact = slope(*map(ops.tensor, self.points)).item()
        difference = self.central(value, directions)
        if _error(exact, difference) <= self.tolerance:
            return
        if math.isfinite(exact) and self.has_kink(value, directions):
            raise _NotDifferentiable
        raise AssertionError(
            f"derivative {level} of {self.function.name}: the gradient says {exact:.10g}, "
            f"differences say {difference:.10g}\n{self.worst_element(value)}{moved}"
        )

    def along(
        self, value: Callable[..., Tensor], directions: Sequence[np.ndarray], step: float
    ) -> float:
        """φ(x + step·d)."""
        moved = (np.asarray(a + step * d) for a, d in zip(self.points, directions, strict=True))
        return value(*map(ops.tensor, moved)).item()

    def central(self, value: Callable[..., Tensor], directions: Sequence[np.ndarray]) -> float:
        h = self.step
        ahead, behind = (self.along(value, directions, s) for s in (h, -h))
        return (ahead - behind) / (2 * h)

    def has_kink(self, value: Callable[..., Tensor], directions: Sequence[np.ndarray]) -> bool:
        """Whether the one-sided slopes differ, at a kink or a jump.

        Where φ is smooth they differ by about h·φ″, which shrinks with h; at a jump they grow as
        1/h.
        """
        here = self.along(value, directions, 0)
        slopes = []
        for h in (self.step, self.step / 4):
            slopes.append((self.along(value, directions, h) - here) / h)
            slopes.append((here - self.along(value, directions, -h)) / h)
        if not all(map(math.isfinite, slopes)):
            return False
        scale = max(1.0, min(map(abs, slopes)))
        wide, narrow = abs(slopes[0] - slopes[1]), abs(slopes[2] - slopes[3])
        stays = narrow > wide / 2 and wide > 10 * self.tolerance * scale
        return stays or max(slopes) - min(slopes) > _JUMP * scale

    def worst_element(self, value: Callable[..., Tensor]) -> str:
        """The input and the element whose partial derivative is furthest off."""
        with higher_order():
            leaves = [ops.tensor(a, requires_grad=True) for a in self.points]
            grads = _gradients(value(*leaves), leaves)
        largest, message = -1.0, ""
        for i, (x, g) in enumerate(zip(self.points, grads, strict=True)):
            exact = np.zeros(x.shape) if g is None else g.numpy()
            for index in np.ndindex(x.shape):
                unit = [np.zeros(a.shape) for a in self.points]
                unit[i][index] = 1
                difference = self.central(value, unit)
                error = _error(float(exact[index]), difference)
                if error > largest:
                    largest = error
                    message = (
                        f"in input {self.function.positions[i]}, element {list(index)} is "
                        f"furthest off: the gradient says {exact[index]:.10g}, differences say "
                        f"{difference:.10g}"
                    )
        return message


def _error(exact: float, difference: float) -> float:
    """The difference, relative to the larger of them or to 1; infinite if one is NaN."""
    error = abs(exact - difference) / max(abs(exact), abs(difference), 1)
    return error if math.isfinite(error) else math.inf


def _unusual(array: np.ndarray) -> str:
    """The first NaN or infinity, and its index."""
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    return f"{array[index]} at {list(index)}"


def _gradients(y: Tensor, leaves: Sequence[Tensor]) -> Sequence[Any]:
    if y.edge is None:
        return [None] * len(leaves)
    return gradients(y, leaves, create_graph=True, allow_unused=True)


def _slope(value: Callable[..., Tensor], directions: Sequence[np.ndarray]) -> Callable[..., Tensor]:
    """∇value·directions, as a function that can be differentiated again."""

    def slope(*inputs: Tensor) -> Tensor:
        with higher_order():
            leaves = [x if x.requires_grad else x.detach().requires_grad_() for x in inputs]
            grads = _gradients(value(*leaves), leaves)
            total: Any = sum((x * 0).sum() for x in leaves)  # 0, but a function of every input
            for g, d in zip(grads, directions, strict=True):
                total = total if g is None else total + (g * d).sum()
            return total

    return slope
