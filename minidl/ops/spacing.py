"""The values of `arange` and `linspace`: exact integers, or float64, to be rounded once."""

import math
from typing import Any

import numpy as np


def steps(start: Any, stop: Any, step: Any) -> np.ndarray:
    """start + i·step below stop, of int64 or uint64 if these are integers, else of float64."""
    if all(isinstance(n, int) for n in (start, stop, step)):
        return _integers(int(start), int(step), len(range(start, stop, step)))
    count = max(math.ceil((stop - start) / step), 0)
    return float(start) + float(step) * np.arange(count, dtype=np.float64)


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
