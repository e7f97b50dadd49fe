"""Cases for indexing, scattering, ranking and segment operations."""

import numpy as np
from hypothesis import strategies as st

from minidl.testing.case_builder import CaseBuilder, Recipe
from minidl.testing.values import REAL, axes, shapes

REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def ranked(name: str | None = None, **settings: tuple) -> Recipe:
    """Distinct values along an axis; `name` is the argument that counts them, as k in topk."""

    def recipe(d: CaseBuilder) -> None:
        shape = d.draw(shapes(min_dims=1))
        axis = d.setting("axis", axes(len(shape)))
        if name:
            d.setting(name, st.integers(1, shape[axis]))
        for setting, choices in settings.items():
            d.setting(setting, choices)
        d.array("x", shape, distinct=True)

    return recipe


def segments(d: CaseBuilder) -> None:
    """data (n, …), and the segment of each row; no segment is empty."""
    shape = d.draw(shapes(min_dims=1))
    count = d.setting("num_segments", st.integers(1, shape[0]))
    ids = d.elements(shape[:1], range(count), dtype="int64")
    ids[:count] = range(count)
    d.array("data", shape, distinct=True)
    d.argument("segment_ids", ids)


def take(d: CaseBuilder) -> None:
    """Indices into one axis."""
    shape = d.draw(shapes(min_dims=1))
    axis = d.setting("axis", axes(len(shape)))
    d.array("x", shape)
    d.indices("indices", d.shape(1), shape[axis])


def take_along_axis(d: CaseBuilder) -> None:
    """Indices of the shape of x, except along the axis."""
    shape = list(d.draw(shapes(min_dims=1)))
    axis = d.setting("axis", axes(len(shape)))
    d.array("x", shape)
    size = shape[axis]
    shape[axis] = d.integer(1, 4)
    d.indices("indices", shape, size)


def scattered(d: CaseBuilder) -> tuple[tuple[int, ...], int]:
    """x; the shape of the indices along an axis of it, and the length of that axis."""
    shape = list(d.draw(shapes(min_dims=1)))
    axis = d.setting("axis", axes(len(shape)))
    d.array("x", tuple(shape), distinct=True)
    size = shape[axis]
    shape[axis] = d.integer(1, size)
    return tuple(shape), size


def scatter_add(d: CaseBuilder) -> None:
    """Indices that may occur several times."""
    shape, size = scattered(d)
    d.indices("indices", shape, size)
    d.array("values", shape)


def put_along_axis(d: CaseBuilder) -> None:
    """Indices that occur once: a permutation of the first positions."""
    shape, _ = scattered(d)
    axis = d.case.settings["axis"]
    order = np.argsort(d.elements(shape, REAL), axis=axis, kind="stable")
    d.argument("indices", order)
    d.array("values", shape)


def scatter_reduce(d: CaseBuilder) -> None:
    """Values that never equal an element of x, so that every extreme is unique."""
    d.setting("reduce", REDUCTIONS)
    d.setting("include_self", st.booleans())
    shape, size = scattered(d)
    d.indices("indices", shape, size)
    d.argument("values", d.elements(shape, (), distinct=True) + d.dtype.type(0.25))


def copied_slices(d: CaseBuilder) -> None:
    """Slices along an axis, each written once."""
    shape = list(d.draw(shapes(min_dims=1)))
    axis = d.setting("axis", axes(len(shape)))
    d.array("x", tuple(shape))
    order = np.argsort(d.elements((shape[axis],), (), distinct=True))
    shape[axis] = d.integer(1, shape[axis])
    d.argument("indices", order[: shape[axis]])
    d.array("values", tuple(shape))


def filled_slices(d: CaseBuilder) -> None:
    """Slices along an axis, some of which may be named twice."""
    shape = d.draw(shapes(min_dims=1))
    axis = d.setting("axis", axes(len(shape)))
    d.array("x", shape)
    d.indices("indices", d.shape(1), shape[axis])
    d.argument("value", np.asarray(d.elements((), REAL)))


def masked_scatter(d: CaseBuilder) -> None:
    """As many values as elements, of which some are left over."""
    shape = d.draw(shapes(min_dims=1))
    d.array("x", shape)
    d.argument("mask", d.elements(shape, (0, 1), dtype="bool"))
    d.array("values", shape)


RECIPES: dict[str, Recipe] = {
    "take": take,
    "take_along_axis": take_along_axis,
    "topk": ranked("k", largest=(True, False)),
    "kthvalue": ranked("k", keepdims=(False, True)),
    "median": ranked(keepdims=(False, True)),
    "nanmedian": ranked(keepdims=(False, True)),
    "mode": ranked(keepdims=(False, True)),
    "quantile": ranked(q=(0.5, 0.3, 0.0), keepdims=(False, True)),
    **{f"cumulative_{name}": ranked() for name in ("max", "min", "logsumexp")},
    "diff": ranked(),
    **{f"segment_{name}": segments for name in ("sum", "prod", "mean", "max", "min")},
    "scatter_add": scatter_add,
    "put_along_axis": put_along_axis,
    "scatter_reduce": scatter_reduce,
    "index_copy": copied_slices,
    "index_fill": filled_slices,
    "masked_scatter": masked_scatter,
}
