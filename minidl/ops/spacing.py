"""The values of `arange` and `linspace`: exact integers, or float64, to be rounded once."""

import math
from typing import Any

import numpy as np

_SPLIT = 2.0**27 + 1  # of a float64 into two halves
_LARGEST_SPLIT = 2.0**970  # beyond it, splitting overflows


def steps(start: Any, stop: Any, step: Any) -> np.ndarray:
    """start + i·step below stop, of int64 or uint64 if these are integers, else of float64."""
    if all(isinstance(n, int) for n in (start, stop, step)):
        return _integers(int(start), int(step), len(range(start, stop, step)))
    count = max(math.ceil((stop - start) / step), 0)
    return _sums(float(start), float(step), np.arange(count, dtype=np.float64))


def ends(start: int, stop: int, step: int) -> np.ndarray:
    """The first and the last of these integers, as far as there are any."""
    numbers = range(start, stop, step)
    return np.asarray([*numbers[:1], *numbers[-1:]], None if numbers else np.int64)


def _sums(start: float, step: float, i: np.ndarray) -> np.ndarray:
    """start + step·i, rounded once: the errors of the product and of the sum are added at the end.

    The product's is Dekker's (1971), of halves of 26 bits; the sum's is Knuth's TwoSum.
    """
    product = step * i
    total = start + product
    if max(abs(start), abs(step) * max(i.size, 1)) > _LARGEST_SPLIT:
        return total
    i_high, step_high = _SPLIT * i - (_SPLIT * i - i), _SPLIT * step - (_SPLIT * step - step)
    i_low, step_low = i - i_high, step - step_high
    lost = step_high * i_high - product + step_high * i_low + step_low * i_high + step_low * i_low
    added = total - start
    return total + ((start - (total - added)) + (product - added) + lost)


def equal(start: Any, stop: Any, count: int, intervals: int) -> np.ndarray:
    """`count` numbers from start, one interval apart, of which there are so many up to stop."""
    half = isinstance(start, float) and isinstance(stop, float) and math.isinf(stop - start)
    with np.errstate(invalid="ignore"):  # between infinities
        if half and math.isfinite(start) and math.isfinite(stop):
            return 2 * np.linspace(start / 2, stop / 2, count, endpoint=intervals < count)
        return np.linspace(start, stop, count, endpoint=intervals < count)


def equal_integers(start: Any, stop: Any, count: int, intervals: int) -> np.ndarray:
    """The same numbers, rounded down."""
    if not (isinstance(start, int) and isinstance(stop, int)):
        return np.floor(equal(start, stop, count, intervals))
    change, intervals = stop - start, max(intervals, 1)
    if abs(change) * count < 2**63 > max(abs(start), abs(stop)):
        return start + np.arange(count) * change // intervals
    return _as_array([start + i * change // intervals for i in range(count)])


def _integers(start: int, step: int, count: int) -> np.ndarray:
    """start + i·step, modulo 2⁶⁴ in between: that is exact where the results fit."""
    last = start + step * max(count - 1, 0)
    least, most = min(start, last), max(start, last)
    dtype = _holding(least, most)
    if dtype is None:
        return np.fromiter((float(start + i * step) for i in range(count)), np.float64, count)
    values = np.arange(count, dtype=np.uint64)
    if step != 1:
        values *= np.uint64(step % 2**64)
    if start:
        values += np.uint64(start % 2**64)
    return values.view(dtype)


def _as_array(integers: list[int]) -> np.ndarray:
    """Python integers as int64, uint64, or rounded to float64."""
    dtype = _holding(min(integers), max(integers)) if integers else np.int64
    return np.array(integers, dtype or np.float64)


def _holding(least: int, most: int) -> Any:
    """The integer dtype that holds both; None if there is none."""
    if least >= -(2**63) and most < 2**63:
        return np.int64
    return np.uint64 if least >= 0 and most < 2**64 else None
