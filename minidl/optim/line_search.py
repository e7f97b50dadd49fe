"""Line search for a step length that satisfies the strong Wolfe conditions.

With φ(t) the loss after a step of length t, and c₁ = 10⁻⁴, c₂ = 0.9:

    φ(t) ≤ φ(0) + c₁·t·φ′(0)           sufficient decrease (Armijo), and
    |φ′(t)| ≤ c₂·|φ′(0)|               the curvature condition

Nocedal, Wright 2006 (algorithms 3.5 and 3.6), with the safeguards of Schmidt's minFunc, as in
PyTorch.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

_C1, _C2 = 1e-4, 0.9
_MIN_WIDTH = 1e-9  # the search ends when no parameter moves further than this within the bracket


class Point(NamedTuple):
    """The evaluation at step length t: φ(t), the gradient there, and φ′(t)."""

    t: float
    loss: float
    gradient: Any
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, t: float, reach: float, limit: int
) -> tuple[Point, int]:
    """The accepted point, and the number of evaluations it took to find it.

    start    the point at t = 0
    t        the initial trial step
    reach    max |d|: how far a step of length 1 moves the parameter that moves furthest
    limit    evaluations after the first; then the best point so far is accepted

    A loss of NaN counts as too high.
    """

    def is_too_high(point: Point) -> bool:
        return not point.loss <= start.loss + _C1 * point.t * start.slope

    def is_flat(point: Point) -> bool:
        return abs(point.slope) <= -_C2 * start.slope

    before, here = start, evaluate(t)
    for count in range(limit):
        if is_too_high(here) or (count > 1 and not here.loss < before.loss):
            break
        if is_flat(here):
            return here, count + 1
        if here.slope >= 0:
            break
        t = _cubic_minimum(before, here, here.t + 0.01 * (here.t - before.t), here.t * 10)
        before, here = here, evaluate(t)
    else:
        return [start, here][_lower_end([start, here])], max(limit, 0) + 1
    bracket = [before, here]
    zoomed = _zoom(evaluate, is_too_high, is_flat, bracket, reach, limit - count)
    return bracket[_lower_end(bracket)], count + zoomed + 1


def _zoom(
    evaluate: Callable[[float], Point],
    is_too_high: Callable[[Point], bool],
    is_flat: Callable[[Point], bool],
    bracket: list[Point],
    reach: float,
    limit: int,
) -> int:
    """Shrink the bracket until its lower end is acceptable; returns the number of evaluations."""
    was_at_end = False
    for count in range(limit):
        if abs(bracket[1].t - bracket[0].t) * reach < _MIN_WIDTH:
            return count
        t, was_at_end = _trial_step(bracket, was_at_end)
        here, low = evaluate(t), _lower_end(bracket)
        if is_too_high(here) or not here.loss < bracket[low].loss:
            bracket[1 - low] = here
            continue
        if not is_flat(here) and here.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = here
        if is_flat(here):
            return count + 1
    return limit


def _lower_end(bracket: list[Point]) -> int:
    """The index of the end with the lower loss; 0 if they are equal."""
    return 1 if bracket[1].loss < bracket[0].loss else 0


def _trial_step(bracket: list[Point], was_at_end: bool) -> tuple[float, bool]:
    """The next trial step within a bracket, and whether it is near one of the ends.

    It is not near an end twice in a row, so that the bracket shrinks.
    """
    left, right = sorted(point.t for point in bracket)
    t = _cubic_minimum(bracket[0], bracket[1], left, right)
    margin = 0.1 * (right - left)
    if min(right - t, t - left) >= margin:
        return t, False
    if not was_at_end and left < t < right:
        return t, True
    return (right - margin if right - t < t - left else left + margin), False


def _cubic_minimum(one: Point, other: Point, low: float, high: float) -> float:
    """The minimiser, clipped to [low, high], of the cubic through two points with their slopes.

    The midpoint of the interval, if the cubic has no minimum.  Equation 3.59.
    """
    a, b = (one, other) if one.t <= other.t else (other, one)
    width = b.t - a.t
    if width > 0:
        d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
        square = d1 * d1 - a.slope * b.slope
        if square >= 0:
            d2 = math.sqrt(square)
            divisor = b.slope - a.slope + 2 * d2
            if divisor:
                return min(max(b.t - width * ((b.slope + d2 - d1) / divisor), low), high)
    return (low + high) / 2
