"""Checking gradients against differences."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl import ops
from minidl.autograd.functional import gradients
from minidl.autograd.mode import higher_order
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, describe

_TRIES = 10  # points that are tried before a function is said to have no derivative
_SHIFT = 1e-3  # how far a point is moved, in proportion to 1 + |x|
_JUMP = 1e-3  # one-sided slopes that differ by more, in proportion to them, are of a corner


def gradcheck(
    function: Callable[..., Any],
    *inputs: Any,
    order: int = 2,
    step: float = 1e-6,
    tolerance: float = 1e-6,
) -> bool:
    """Whether the gradients of a function are those that differences of its values show.

    The slope of φ(x) = Σ c·f(x) in a random direction d is compared with the central difference

        (φ(x + h·d) − φ(x − h·d)) / 2h  ≈  ∇φ(x)·d

    and then, up to `order`, the same is done with ∇φ·d in the place of f.  True, or AssertionError
    with both numbers, and the element whose derivative is furthest off.

    function     gives a tensor, or tuples of tensors; those that are not floats have no gradient
    inputs       float64 tensors or arrays; integers and bools are passed on, not differentiated
    order        the highest derivative that is checked
    step         h
    tolerance    how far the two may differ, relative to the larger of them and 1

    Where f has no derivative (the slopes ahead and behind differ, however small the step), x is
    moved by about 0.001·(1 + |x|) at random and tried again, ten times at most.

    AssertionError: a derivative is wrong, or is NaN.  DTypeError: inputs of another dtype, complex
    ones among them.  ArgumentError: inputs that are NaN or infinite.

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
        raise ArgumentError(f"gradcheck: order={order!r}; needs a whole number from 1 on")
    return _check("gradcheck", function, inputs, range(1, order + 1), step, tolerance)


def gradgradcheck(
    function: Callable[..., Any], *inputs: Any, step: float = 1e-6, tolerance: float = 1e-6
) -> bool:
    """Whether the second derivatives of a function are what differences of its gradient show.

    As `gradcheck`, which checks all derivatives up to its order, for the second alone: the first
    may be wrong, as long as the second is what follows from it.

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
    """Check these derivatives, at the first point where there are any."""
    for setting, value in (("step", step), ("tolerance", tolerance)):
        if not (isinstance(value, int | float) and 0 < value < math.inf):
            raise ArgumentError(f"{name}: {setting}={value!r}; needs a number above 0")
    if not callable(function):
        raise DTypeError(f"{name}: the function is {describe(function)}; needs something to call")
    of_floats = _OfFloats(name, function, inputs)
    rng = np.random.default_rng(0)
    points, moved = of_floats.points, ""
    for attempt in range(_TRIES):
        try:
            _Check(of_floats, points, levels, step, tolerance).run(rng, moved)
        except _Corner:
            moved = f"\n(the point was moved {attempt + 1} times: f had no derivative there)"
            points = [
                np.asarray(x + _SHIFT * (1 + np.abs(x)) * rng.normal(size=x.shape))
                for x in of_floats.points
            ]
        else:
            return True
    raise AssertionError(
        f"{of_floats.name} has no derivative at the point given, nor at {_TRIES - 1} points near "
        "it: the slopes ahead and behind differ"
    )


class _Corner(Exception):  # noqa: N818
    """The function has no derivative at this point."""


class _OfFloats:
    """The function, with all inputs but the float64 ones filled in; and those, as arrays."""

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
        """The outputs that are floats."""
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
    """The check of one function at one point."""

    def __init__(
        self,
        function: _OfFloats,
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
            return sum((y * w).sum() for y, w in zip(ys, weights, strict=True))

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
        """Raise if the slope along the directions is not what differences say."""
        exact = slope(*map(ops.tensor, self.points)).item()
        difference = self.central(value, directions)
        if _error(exact, difference) <= self.tolerance:
            return
        if math.isfinite(exact) and self.at_corner(value, directions):
            raise _Corner
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

    def at_corner(self, value: Callable[..., Tensor], directions: Sequence[np.ndarray]) -> bool:
        """Whether the slopes ahead and behind differ.

        Where there are two derivatives, they differ by about h·φ″, which shrinks with h.  Where φ
        jumps, they grow as 1/h.
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
        """Which derivative by one element of an input is furthest off."""
        with higher_order():
            leaves = [ops.tensor(a, requires_grad=True) for a in self.points]
            found = _gradients(value(*leaves), leaves)
        worst = (-1.0, "")
        for i, (x, g) in enumerate(zip(self.points, found, strict=True)):
            exact = np.zeros(x.shape) if g is None else g.numpy()
            for index in np.ndindex(x.shape):
                unit = [np.zeros(a.shape) for a in self.points]
                unit[i][index] = 1
                difference = self.central(value, unit)
                error = _error(exact[index], difference)
                if error > worst[0]:
                    worst = (
                        error,
                        (
                            f"in input {self.function.positions[i]}, element {list(index)} is "
                            f"furthest off: the gradient says {exact[index]:.10g}, differences say "
                            f"{difference:.10g}"
                        ),
                    )
        return worst[1]


def _error(exact: float, difference: float) -> float:
    """How far they differ, relative to the larger of them and 1; infinite if one is no number."""
    error = abs(exact - difference) / max(abs(exact), abs(difference), 1)
    return error if math.isfinite(error) else math.inf


def _unusual(array: np.ndarray) -> str:
    """The first NaN or infinity, and where it is."""
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
            found = _gradients(value(*leaves), leaves)
            parts = [(g * d).sum() for g, d in zip(found, directions, strict=True) if g is not None]
            return sum(parts, start=sum((x * 0).sum() for x in leaves))

    return slope
