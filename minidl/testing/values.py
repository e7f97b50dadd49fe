"""Hypothesis strategies for shapes, dtypes and arrays; all shrink towards what is small."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl.errors import ArgumentError

# Multiples of 1/8 up to 2: exact in every float dtype, and 0 and 1 come first when Hypothesis
# looks for a simpler example.
_EIGHTHS = sorted(
    (n / 8 for n in range(-16, 17)), key=lambda v: (v % 1 != 0, v % 0.5 != 0, abs(v), v < 0)
)

REAL = tuple(_EIGHTHS)
NONZERO = tuple(v for v in REAL if v != 0)
POSITIVE = tuple(v for v in REAL if v > 0)
ABOVE_ONE = tuple(v + 1 for v in POSITIVE)
INSIDE = tuple(v for v in REAL if abs(v) < 1)  # of (−1, 1)
PROBABILITIES = tuple(v for v in REAL if 0 < v < 1)
SIGNS = (1.0, -1.0)


def away_from(*points: float) -> tuple[float, ...]:
    """The numbers of REAL but for these."""
    return tuple(v for v in REAL if v not in points)


def _limits(name: str, low: int, high: int) -> None:
    if not all(isinstance(n, int) for n in (low, high)) or not 0 <= low <= high:
        raise ArgumentError(f"{name}: from {low!r} to {high!r}; needs 0 ≤ lowest ≤ highest")


def shapes(
    *, min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4
) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes; with min_side=0, of arrays without elements too.

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
    """Dtypes of these kinds: b bool, i and u whole numbers, f floats.

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
    """Arrays of numbers of about 1, which no rounding blurs.

    shape        a shape, or a strategy for shapes; any of `shapes()` unless told
    dtype        a dtype, or a strategy for dtypes
    values       what elements are drawn from, the simplest first
    distinct     whether no two elements are equal: multiples of 1/2 in some order
    nonfinite    whether NaN and infinities are among the elements of floats
    contiguous   False: also arrays that lie in memory transposed, in steps, or backwards

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
    layout = "plain" if contiguous else draw(st.sampled_from(LAYOUTS))
    return laid_out(array, layout)


def from_seed(
    seed: int, shape: tuple[int, ...], dtype: Any, values: Sequence[float], distinct: bool
) -> np.ndarray:
    """An array as `arrays` draws, of one number: Hypothesis need not shrink element by element."""
    rng, size = np.random.default_rng(seed), int(np.prod(shape))
    if distinct:
        elements = rng.permutation(size) / 2 - size // 4
    else:
        elements = rng.choice(np.array(values), size)
    return elements.astype(dtype).reshape(shape)


LAYOUTS = ("plain", "axes", "steps", "back")


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """The same array, elsewhere in memory."""
    if layout == "axes":
        return np.asfortranarray(array)
    if layout == "steps" and array.ndim:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if layout == "back" and array.ndim:
        return array[..., ::-1].copy()[..., ::-1]
    return array


@st.composite
def broadcastable_shapes(
    draw: Any, count: int = 2, *, max_dims: int = 3, min_side: int = 1, max_side: int = 3
) -> tuple[tuple[int, ...], ...]:
    """So many shapes that broadcast together: axes of 1, and leading ones left out.

    >>> from hypothesis import find
    >>> from minidl.testing import strategies
    >>> find(strategies.broadcastable_shapes(2), lambda pair: 2 in pair[0] and pair[1] == (1, 1))
    ((2,), (1, 1))
    """
    full = draw(shapes(max_dims=max_dims, min_side=min_side, max_side=max_side))
    found = []
    for _ in range(count):
        left_out = draw(st.integers(0, len(full)))
        kept = full[len(full) - left_out :]
        found.append(tuple(1 if n > 1 and draw(st.booleans()) else n for n in kept))
    return tuple(found)


def axes(ndim: int, *, several: bool = False, none: bool = False) -> st.SearchStrategy[Any]:
    """An axis of arrays with so many, counted from the front or from the end.

    several   also tuples of different axes
    none      also None, which means all

    >>> from hypothesis import find
    >>> from minidl.testing import strategies
    >>> find(strategies.axes(3), lambda axis: axis < 0)
    -1
    """
    if ndim < 0 or (ndim == 0 and not none and not several):
        raise ArgumentError(f"axes: an array of {ndim} axes has none to choose from")
    choices = [st.none()] if none else []
    if ndim:
        choices.append(st.sampled_from([*range(ndim), *range(-1, -ndim - 1, -1)]))
    if several:
        subset = st.lists(st.sampled_from(range(ndim)), unique=True) if ndim else st.just([])
        choices.append(subset.map(tuple))
    return st.one_of(choices)
