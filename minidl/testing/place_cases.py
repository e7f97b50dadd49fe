"""How cases are drawn of what samples, ranks, groups and places, and of special functions."""

from math import prod

import numpy as np
from hypothesis import strategies as st

from minidl.testing.drawing import Drawing, Recipe
from minidl.testing.elementwise_cases import unary
from minidl.testing.layer_cases import per_axis, spread
from minidl.testing.loss_cases import MARGIN, REDUCTIONS, definite, square
from minidl.testing.values import (
    INSIDE,
    NONZERO,
    POSITIVE,
    PROBABILITIES,
    REAL,
    SIGNS,
    axes,
    shapes,
)

REDUCED = ("sum", "prod", "mean", "amax", "amin")
SIXTEENTHS = tuple(v / 2 + 1 / 32 for v in INSIDE)  # between pixels, wherever they lie


def ranked(name: str | None = None, **settings: tuple) -> Recipe:
    """Different numbers along an axis; `name` is how many, or which."""

    def recipe(d: Drawing) -> None:
        shape = d.draw(shapes(min_dims=1))
        axis = d.setting("axis", axes(len(shape)))
        if name:
            d.setting(name, st.integers(1, shape[axis]))
        for setting, choices in settings.items():
            d.setting(setting, choices)
        d.array("x", shape, distinct=True)

    return recipe


def segments(d: Drawing) -> None:
    """data (n, …), the segment of each row; of products and extremes no segment is empty."""
    shape = d.draw(shapes(min_dims=1))
    count = d.setting("num_segments", st.integers(1, shape[0]))
    ids = d.elements(shape[:1], range(count), dtype="int64")
    ids[:count] = range(count)
    d.array("data", shape, distinct=True)
    d.given("segment_ids", ids)


def placed(d: Drawing) -> tuple[tuple[int, ...], int]:
    """x, and places along an axis of it."""
    shape = list(d.draw(shapes(min_dims=1)))
    axis = d.setting("axis", axes(len(shape)))
    d.array("x", tuple(shape), distinct=True)
    size = shape[axis]
    shape[axis] = d.integer(1, size)
    return tuple(shape), size


def scatter_add(d: Drawing) -> None:
    """Places that may be named several times."""
    shape, size = placed(d)
    d.indices("indices", shape, size)
    d.array("values", shape)


def put_along_axis(d: Drawing) -> None:
    """Places that are named once: those next to each other from the first on."""
    shape, _ = placed(d)
    axis = d.case.settings["axis"]
    order = np.argsort(d.elements(shape, REAL), axis=axis, kind="stable")
    d.given("indices", order)
    d.array("values", shape)


def scatter_reduce(d: Drawing) -> None:
    """Values in between the numbers that are there, so that extremes are one."""
    d.setting("reduce", REDUCED)
    d.setting("include_self", st.booleans())
    shape, size = placed(d)
    d.indices("indices", shape, size)
    d.given("values", d.elements(shape, (), distinct=True) + d.dtype.type(0.25))


def grid_sample(d: Drawing) -> None:
    """x (N, C, H, W), grid (N, h, w, 2)."""
    d.setting("mode", ("bilinear", "nearest", "bicubic"))
    d.setting("padding_mode", ("zeros", "border", "reflection"))
    d.setting("align_corners", st.booleans())
    n, c, height, width = d.shape(4, 3)
    d.array("x", (n, c, height, width))
    d.array("grid", (n, *d.shape(2, 2), 2), SIXTEENTHS)


def affine_grid(d: Drawing) -> None:
    """theta (N, 2, 3) or (N, 3, 4)."""
    axes, n = d.integer(2, 3), d.integer(1, 2)
    d.setting("size", st.tuples(st.just(n), st.just(1), *[st.integers(1, 3)] * axes))
    d.setting("align_corners", st.booleans())
    d.array("theta", (n, axes, axes + 1))


def cdist(d: Drawing) -> None:
    """x1 (…, m, k), x2 (…, n, k): no two points are at one place."""
    d.setting("p", (2.0, 1.0, 3.0))
    *batch, m, n, k = d.shape(d.integer(3, 4), 3)
    first = d.elements((*batch, m, k), (), distinct=True)
    d.given("x1", first)
    d.given("x2", d.elements((*batch, n, k), (), distinct=True) + d.dtype.type(0.25))


def pdist(d: Drawing) -> None:
    """Different points (n, k)."""
    d.setting("p", (2.0, 1.0, 3.0))
    d.array("x", d.shape(2, 4), distinct=True)


def pairwise_distance(d: Drawing) -> None:
    """Two arrays of one shape, (n, k)."""
    d.setting("p", (2.0, 3.0))
    d.setting("keepdims", st.booleans())
    shape = d.shape(2, 3)
    d.array("x1", shape, distinct=True)
    d.given("x2", d.elements(shape, (), distinct=True) + d.dtype.type(0.25))


def fold(d: Drawing) -> None:
    """x (N, C·∏k, L): as many columns as there are windows."""
    size = d.setting("output_size", st.tuples(*[st.integers(2, 4)] * 2))
    kernel = spread(d.setting("kernel_size", per_axis(2, 1, 2)), 2)
    padding = spread(d.setting("padding", per_axis(2, 0, 1)), 2)
    stride = spread(d.setting("stride", per_axis(2, 1, 2)), 2)
    rows = zip(size, kernel, padding, stride, strict=True)
    windows = prod((n + 2 * p - k) // s + 1 for n, k, p, s in rows)
    d.array("x", (d.integer(1, 2), d.integer(1, 2) * prod(kernel), windows))


def max_unpool(n: int) -> Recipe:
    """x (N, C, *), and the places that windows without overlap would have chosen."""

    def recipe(d: Drawing) -> None:
        kernel = spread(d.setting("kernel_size", per_axis(n, 1, 2)), n)
        shape = (*d.shape(2, 2), *d.shape(n, 2))
        places = np.zeros(shape, "int64")
        for axis, k in enumerate(kernel):
            starts = np.arange(shape[2 + axis]) * k
            within = d.elements(shape, range(k), dtype="int64")
            along = starts.reshape([-1 if i == axis else 1 for i in range(n)]) + within
            places = places * (shape[2 + axis] * k) + along
        d.array("x", shape)
        d.given("indices", places)

    return recipe


def fractional_pool(n: int) -> Recipe:
    """x (N, C, *), and samples that place the windows."""

    def recipe(d: Drawing) -> None:
        kernel = spread(d.setting("kernel_size", per_axis(n, 1, 2)), n)
        output = spread(d.setting("output_size", per_axis(n, 1, 3)), n)
        least = [k + m for k, m in zip(kernel, output, strict=True)]
        planes = d.shape(2, 2)
        d.array("x", (*planes, *(m + d.integer(0, 2) for m in least)), distinct=True)
        d.array("samples", (*planes, n), (0.0, *PROBABILITIES), constant=True)

    return recipe


def embedding_bag(d: Drawing) -> None:
    """weight (V, D), whose numbers differ, ids (B, n)."""
    d.setting("mode", ("mean", "sum", "max"))
    words = d.integer(1, 5)
    d.array("weight", (words, d.integer(1, 3)), distinct=True)
    count, length = d.shape(2, 3)
    rows = [np.roll(np.arange(words), i)[:length] for i in range(count)]  # each id once in a bag
    d.given("ids", np.stack(rows).astype("int64"))


def ctc_loss(d: Drawing) -> None:
    """log_probs (T, N, C) of which each column is a softmax, targets (N, S) that fit into it."""
    d.setting("reduction", REDUCTIONS)
    n, most, classes = d.shape(3, 3)
    times = 2 * most + 1 + d.integer(0, 1)
    d.setting("blank", (0,))
    d.setting("input_lengths", st.lists(st.integers(2 * most, times), min_size=n, max_size=n))
    d.setting("target_lengths", st.lists(st.integers(1, most), min_size=n, max_size=n))
    scores = d.elements((times, n, classes + 1), REAL)
    d.given("log_probs", scores - np.log(np.exp(scores).sum(-1, keepdims=True)))
    d.given("targets", 1 + d.elements((n, most), range(classes), dtype="int64"))


def multilabel_margin(d: Drawing) -> None:
    """x (N, C) between which no margin is met, and the true classes, behind which −1 follows."""
    d.setting("reduction", REDUCTIONS)
    n, c = d.shape(2, 4)
    target = np.argsort(d.elements((n, c), REAL), axis=-1)
    target[np.arange(c) >= d.elements((n, 1), range(c + 1), dtype="int64")] = -1
    d.given("x", d.elements((n, c), (), distinct=True) * d.dtype.type(0.375))
    d.given("target", target)


def cosine_embedding(d: Drawing) -> None:
    """x1 and x2 (N, D), which of them are alike."""
    d.setting("margin", (-MARGIN,))
    d.setting("reduction", REDUCTIONS)
    shape = d.shape(2, 3)
    d.array("x1", shape, POSITIVE)
    d.array("x2", shape, POSITIVE)
    d.array("target", shape[:1], SIGNS, constant=True)


def matrices(**settings: tuple) -> Recipe:
    """x (…, m, n)."""

    def recipe(d: Drawing) -> None:
        for name, choices in settings.items():
            d.setting(name, choices)
        d.array("x", d.shape(d.integer(2, 3), 3))

    return recipe


def symmetric(d: Drawing) -> None:
    """x (…, n, n), symmetric, with eigenvalues that differ."""
    definite(d)
    n = d.case.arrays["x"].shape[-1]
    d.given("x", d.case.arrays["x"] + 50 * np.diag(np.arange(n)).astype(d.dtype))


def regular(**settings: tuple) -> Recipe:
    """x (…, n, n), far from singular."""

    def recipe(d: Drawing) -> None:
        for name, choices in settings.items():
            d.setting(name, choices)
        square(d)

    return recipe


def cross(d: Drawing) -> None:
    """Two arrays of vectors of three."""
    shape = (*d.shape(d.integer(0, 2), 3), 3)
    d.array("x1", shape)
    d.array("x2", shape)


def kron(d: Drawing) -> None:
    """Two matrices."""
    d.array("x1", d.shape(2, 3))
    d.array("x2", d.shape(2, 3))


def lerp(d: Drawing) -> None:
    """Three arrays of one shape."""
    shape = d.draw(shapes())
    for name in ("x1", "x2", "weight"):
        d.array(name, shape)


RECIPES: dict[str, Recipe] = {
    "topk": ranked("k", largest=(True, False)),
    "kthvalue": ranked("k", keepdims=(False, True)),
    "median": ranked(keepdims=(False, True)),
    "quantile": ranked(q=(0.5, 0.3, 0.0), keepdims=(False, True)),
    **{f"cumulative_{name}": ranked() for name in ("max", "min", "logsumexp")},
    "diff": ranked(),
    **{f"segment_{name}": segments for name in ("sum", "prod", "mean", "max", "min")},
    "scatter_add": scatter_add,
    "put_along_axis": put_along_axis,
    "scatter_reduce": scatter_reduce,
    "grid_sample": grid_sample,
    "affine_grid": affine_grid,
    "cdist": cdist,
    "pdist": pdist,
    "pairwise_distance": pairwise_distance,
    "fold": fold,
    **{f"max_unpool{n}d": max_unpool(n) for n in (1, 2, 3)},
    **{f"fractional_max_pool{n}d": fractional_pool(n) for n in (2, 3)},
    "embedding_bag": embedding_bag,
    "ctc_loss": ctc_loss,
    "multilabel_margin_loss": multilabel_margin,
    "cosine_embedding_loss": cosine_embedding,
    "slogdet": square,
    "adjugate": square,
    "matrix_power": regular(n=(2, 0, 1, -1)),
    "eigvalsh": symmetric,
    "svdvals": symmetric,
    "pinv": square,
    "matrix_transpose": matrices(),
    "diagonal": matrices(offset=(0, 1, -1)),
    "diag_embed": matrices(offset=(0, 1, -1)),
    "rot90": matrices(k=(1, 0, 2, -1)),
    "cross": cross,
    "kron": kron,
    "lerp": lerp,
    "erfc": unary(REAL),
    "sinc": unary(NONZERO),
    "erfinv": unary(INSIDE),
    "lgamma": unary(POSITIVE),
    "digamma": unary(POSITIVE),
    "polygamma": unary(POSITIVE, n=(1, 0, 2)),
    "nan_to_num": unary(REAL),
    "copy": unary(REAL),
    "signbit": unary(NONZERO),
    "threshold": unary(NONZERO, threshold=(1 / 16,), value=(0.0, 2.0)),
}
