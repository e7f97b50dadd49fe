"""How far to go along a direction: a search for a step that satisfies the strong Wolfe conditions.

With φ(t) the loss after a step of t, and c₁ = 10⁻⁴, c₂ = 0.9:

    φ(t) ≤ φ(0) + c₁·t·φ′(0)           the loss has become smaller, and
    |φ′(t)| ≤ c₂·|φ′(0)|               there is not much more to be had in this direction

Nocedal, Wright 2006 (algorithms 3.5 and 3.6), with the safeguards of Schmidt's minFunc, as in
PyTorch.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

_DECREASE, _FLATTER = 1e-4, 0.9  # c₁ and c₂
_NARROW = 1e-9  # a bracket in which no parameter moves further than this is not searched


class Point(NamedTuple):
    """What is known after a step of t: φ(t), the gradient there, and φ′(t)."""

    t: float
    loss: float
    gradient: Any
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, t: float, reach: float, limit: int
) -> tuple[Point, int]:
    """The point to go to, and how many evaluations it took to find it.

    start    the point at t = 0
    t        the step to be tried first
    reach    how far a step of 1 moves the parameter that moves furthest
    limit    evaluations after the first; then the best point known is taken

    A loss of NaN counts as one that is too high.
    """

    def is_too_high(point: Point) -> bool:
        return not point.loss <= start.loss + _DECREASE * point.t * start.slope

    def is_flat(point: Point) -> bool:
        return abs(point.slope) <= -_FLATTER * start.slope

    before, here = start, evaluate(t)
    for count in range(limit):
        if is_too_high(here) or (count > 1 and not here.loss < before.loss):
            break
        if is_flat(here):
            return here, count + 1
        if here.slope >= 0:
            break
        t = _lowest(before, here, here.t + 0.01 * (here.t - before.t), here.t * 10)
        before, here = here, evaluate(t)
    else:
        return [start, here][_lower([start, here])], max(limit, 0) + 1
    bracket = [before, here]
    done = _zoom(evaluate, is_too_high, is_flat, bracket, reach, limit - count)
    return bracket[_lower(bracket)], count + done + 1


def _zoom(
    evaluate: Callable[[float], Point],
    is_too_high: Callable[[Point], bool],
    is_flat: Callable[[Point], bool],
    bracket: list[Point],
    reach: float,
    limit: int,
) -> int:
    """Make the bracket smaller until its lower end will do; how many evaluations that took."""
    was_at_end = False
    for count in range(limit):
        if abs(bracket[1].t - bracket[0].t) * reach < _NARROW:
            return count
        t, was_at_end = _inside(bracket, was_at_end)
        here, low = evaluate(t), _lower(bracket)
        if is_too_high(here) or not here.loss < bracket[low].loss:
            bracket[1 - low] = here
            continue
        if not is_flat(here) and here.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = here
        if is_flat(here):
            return count + 1
    return limit


def _lower(bracket: list[Point]) -> int:
    """Which end of a bracket has the lower loss; the first, if they are equal."""
    return 1 if bracket[1].loss < bracket[0].loss else 0


def _inside(bracket: list[Point], was_at_end: bool) -> tuple[float, bool]:
    """Where to look next within a bracket, and whether that is near one of its ends.

    Not near one twice in turn: the bracket has to become smaller.
    """
    left, right = sorted(point.t for point in bracket)
    t = _lowest(*bracket, left, right)
    margin = 0.1 * (right - left)
    if min(right - t, t - left) >= margin:
        return t, False
    if not was_at_end and left < t < right:
        return t, True
    return (right - margin if right - t < t - left else left + margin), False


def _lowest(one: Point, other: Point, least: float, most: float) -> float:
    """Between bounds, where the cubic through two points with their slopes is lowest.

    Their middle, if it has no minimum.  Equation 3.59.
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
                return min(max(b.t - width * ((b.slope + d2 - d1) / divisor), least), most)
    return (least + most) / 2
