"""Hypothesis strategies for shapes, dtypes and arrays, which shrink towards small examples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl.errors import ArgumentError

# Multiples of 1/8 up to 2: exact in every float dtype, and sorted so that Hypothesis shrinks
# towards 0 and 1.
_EIGHTHS = sorted(
    (n / 8 for n in range(-16, 17)), key=lambda v: (v % 1 != 0, v % 0.5 != 0, abs(v), v < 0)
)

REAL = tuple(_EIGHTHS)
NONZERO = tuple(v for v in REAL if v != 0)
POSITIVE = tuple(v for v in REAL if v > 0)
ABOVE_ONE = tuple(v + 1 for v in POSITIVE)
INSIDE = tuple(v for v in REAL if abs(v) < 1)  # the open interval (−1, 1)
PROBABILITIES = tuple(v for v in REAL if 0 < v < 1)
INTEGERS = tuple(v for v in REAL if v % 1 == 0)
HALVES = tuple(v for v in REAL if v % 1 == 0.5)  # never equal to one of INTEGERS
SIGNS = (1.0, -1.0)


def away_from(*points: float) -> tuple[float, ...]:
    """The values of REAL except these."""
    return tuple(v for v in REAL if v not in points)


def _limits(name: str, low: int, high: int) -> None:
    if not all(isinstance(n, int) for n in (low, high)) or not 0 <= low <= high:
        raise ArgumentError(f"{name}: from {low!r} to {high!r}; needs 0 ≤ lowest ≤ highest")


def shapes(
    *, min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4
) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes; with min_side=0, some of arrays without elements.

    >>> from hypothesis import find
    >>> from minidl.testing import strategies
    >>> find(strategies.shapes(), lambda shape: len(shape) == 2)
    (1, 1)
    """
    _limits("shapes", min_dims, max_dims)
    _limits("shapes", min_side, max_side)
    side = st.integers(min_side, max_side)
    return st.lists(side, min_size=min_dims, max_size=max_dims).map(tuple)


def dtypes(kinds: str = "f") -> st.SearchStrategy[np.dtype]:
    """Dtypes of these kinds: b bool, i and u integers, f floats.

    >>> from hypothesis import find
    >>> from minidl.testing import strategies
    >>> find(strategies.dtypes("if"), lambda dtype: dtype.itemsize == 2)
    dtype('int16')
    """
    names = {
        "f": ("float64", "float32", "float16"),
        "i": ("int64", "int32", "int16", "int8"),
        "u": ("uint8", "uint16", "uint32", "uint64"),
        "b": ("bool",),
    }
    if not kinds or not set(kinds) <= set(names):
        raise ArgumentError(f"dtypes: kinds={kinds!r}; needs letters of {''.join(names)!r}")
    return st.sampled_from([np.dtype(n) for kind in kinds for n in names[kind]])


def arrays(
    shape: Any = None,
    dtype: Any = "float64",
    *,
    values: Sequence[float] = REAL,
    distinct: bool = False,
    nonfinite: bool = False,
    contiguous: bool = True,
) -> st.SearchStrategy[np.ndarray]:
    """Arrays of values of magnitude about 1, exact in every dtype.

    shape        a shape, or a strategy for shapes; default `shapes()`
    dtype        a dtype, or a strategy for dtypes
    values       what elements are drawn from, the simplest first
    distinct     whether no two elements are equal: multiples of 1/2 in random order
    nonfinite    whether float arrays may contain NaN and infinities
    contiguous   False: some arrays are transposed in memory, or have a stride of 2 or −1

    >>> from hypothesis import find
    >>> from minidl.testing import strategies
    >>> find(strategies.arrays((2, 2)), lambda x: x.any())
    array([[0., 0.],
           [0., 1.]])
    """
    shape = shapes() if shape is None else shape
    if not isinstance(shape, st.SearchStrategy):
        shape = st.just(tuple(shape))
    if not isinstance(dtype, st.SearchStrategy):
        dtype = st.just(np.dtype(dtype))
    return _arrays(shape, dtype, tuple(values), distinct, nonfinite, contiguous)


@st.composite
def _arrays(
    draw: Any, shape: Any, dtype: Any, values: Any, distinct: bool, nonfinite: bool, contiguous: Any
) -> np.ndarray:
    shape, dtype = draw(shape), draw(dtype)
    size = int(np.prod(shape))
    if distinct:
        elements = [n / 2 - size // 4 for n in draw(st.permutations(range(size)))]
    else:
        if nonfinite and dtype.kind == "f":
            values = (*values, np.nan, np.inf, -np.inf)
        if dtype.kind == "u":
            values = tuple(v for v in values if v >= 0)
        if dtype.kind in "iu":
            values = tuple(dict.fromkeys(int(v) for v in values))
        elements = draw(st.lists(st.sampled_from(values), min_size=size, max_size=size))
    array = np.array(elements, dtype=dtype).reshape(shape)
    layout = "contiguous" if contiguous else draw(st.sampled_from(LAYOUTS))
    return in_layout(array, layout)


def from_seed(
    seed: int, shape: tuple[int, ...], dtype: Any, values: Sequence[float], distinct: bool
) -> np.ndarray:
    """An array like those of `arrays`, from a seed: Hypothesis need not shrink every element."""
    rng, size = np.random.default_rng(seed), int(np.prod(shape))
    if distinct:
        elements = rng.permutation(size) / 2 - size // 4
    else:
        elements = rng.choice(np.array(values), size)
    return elements.astype(dtype).reshape(shape)


LAYOUTS = ("contiguous", "transposed", "strided", "reversed")


def in_layout(array: np.ndarray, layout: str) -> np.ndarray:
    """The same values in this memory layout."""
    if layout == "transposed":
        return np.asfortranarray(array)
    if layout == "strided" and array.ndim:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if layout == "reversed" and array.ndim:
        return array[..., ::-1].copy()[..., ::-1]
    return array


@st.composite
def broadcastable_shapes(
    draw: Any, count: int = 2, *, max_dims: int = 3, min_side: int = 1, max_side: int = 3
) -> tuple[tuple[int, ...], ...]:
    """`count` shapes that broadcast together: with axes of length 1, and fewer leading axes.

    >>> from hypothesis import find
    >>> from minidl.testing import strategies
    >>> find(strategies.broadcastable_shapes(2), lambda pair: 2 in pair[0] and pair[1] == (1, 1))
    ((2,), (1, 1))
    """
    full = draw(shapes(max_dims=max_dims, min_side=min_side, max_side=max_side))
    drawn = []
    for _ in range(count):
        ndim = draw(st.integers(0, len(full)))
        trailing = full[len(full) - ndim :]
        drawn.append(tuple(1 if n > 1 and draw(st.booleans()) else n for n in trailing))
    return tuple(drawn)


def axes(ndim: int, *, several: bool = False, none: bool = False) -> st.SearchStrategy[Any]:
    """An axis of an array of `ndim` axes, counted from the front or from the end.

    several   also tuples of different axes
    none      also None, which means all

    >>> from hypothesis import find
    >>> from minidl.testing import strategies
    >>> find(strategies.axes(3), lambda axis: axis < 0)
    -1
    """
    if ndim < 0 or (ndim == 0 and not none and not several):
        raise ArgumentError(f"axes: an array of {ndim} axes has none to choose from")
    choices: list[st.SearchStrategy[Any]] = [st.none()] if none else []
    if ndim:
        choices.append(st.sampled_from([*range(ndim), *range(-1, -ndim - 1, -1)]))
    if several:
        subset = st.lists(st.sampled_from(range(ndim)), unique=True) if ndim else st.just([])
        choices.append(subset.map(tuple))
    return st.one_of(choices)
