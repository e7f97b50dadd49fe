"""Cases for elementwise operations, reductions, and operations that change the shape."""

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from minidl.testing.case_builder import CaseBuilder, Recipe
from minidl.testing.values import (
    ABOVE_ONE,
    HALVES,
    INSIDE,
    INTEGERS,
    NONZERO,
    POSITIVE,
    PROBABILITIES,
    REAL,
    away_from,
    axes,
    broadcastable_shapes,
    shapes,
)


def unary(values: Sequence[float], **settings: Sequence) -> Recipe:
    """An operation on one array, whose elements are drawn from these values."""

    def recipe(d: CaseBuilder) -> None:
        for name, choices in settings.items():
            d.setting(name, choices)
        d.array("x", d.draw(shapes(min_side=0)), values)

    return recipe


def binary(first: Sequence[float], second: Sequence[float]) -> Recipe:
    """An operation on two arrays that broadcast together."""

    def recipe(d: CaseBuilder) -> None:
        one, other = d.draw(broadcastable_shapes(2))
        d.array("x1", one, first)
        d.array("x2", other, second)

    return recipe


def of_dtype(dtype: str, count: int, values: Sequence[int] = (0, 1)) -> Recipe:
    """An operation on `count` arrays of bools or integers."""

    def recipe(d: CaseBuilder) -> None:
        for i, shape in enumerate(d.draw(broadcastable_shapes(count))):
            name = "x" if count == 1 else f"x{i + 1}"
            d.argument(name, d.elements(shape, values, dtype=dtype))

    return recipe


def reduction(
    values: Sequence[float] = REAL,
    *,
    distinct: bool = False,
    several: bool = True,
    none: bool = True,
    keepdims: bool = True,
    settings: Mapping[str, Sequence] | None = None,
) -> Recipe:
    """A reduction over one axis, several axes, or all of them."""

    def recipe(d: CaseBuilder) -> None:
        shape = d.draw(shapes(min_dims=1))
        d.setting("axis", axes(len(shape), several=several, none=none))
        if keepdims:
            d.setting("keepdims", st.booleans())
        for name, choices in (settings or {}).items():
            d.setting(name, choices)
        d.array("x", shape, values, distinct=distinct)

    return recipe


def along(
    values: Sequence[float] = REAL, *, distinct: bool = False, **settings: Sequence
) -> Recipe:
    """An operation along one axis that keeps its length."""
    return reduction(
        values,
        distinct=distinct,
        several=False,
        none=False,
        keepdims=False,
        settings=settings,
    )


def moments(d: CaseBuilder) -> None:
    """Variances, with the correction below the number of elements."""
    shape = d.draw(shapes(min_dims=1, min_side=2))
    d.setting("axis", axes(len(shape), none=True))
    d.setting("correction", (0, 1))
    d.setting("keepdims", st.booleans())
    d.array("x", shape, distinct=True)


def where(d: CaseBuilder) -> None:
    """A condition, and the two arrays that it chooses from."""
    condition, one, other = d.draw(broadcastable_shapes(3))
    d.argument("condition", d.elements(condition, (0, 1), dtype="bool"))
    d.array("x1", one)
    d.array("x2", other)


def clip(d: CaseBuilder) -> None:
    """The bounds are odd multiples of 1/16, which no element equals."""
    d.setting("min", (None, -15 / 16))
    d.setting("max", (None, 9 / 16))
    d.array("x", d.draw(shapes(min_side=0)))


def reshape(d: CaseBuilder) -> None:
    """Shapes of the same size, some with one length to infer (−1)."""
    shape = d.shape(d.integer(0, 3), 3)
    size = 1
    for n in shape:
        size *= n
    side = d.draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0]))
    d.setting("shape", [(side, size // side), (-1,), (side, -1), (size,), (size // side, side, 1)])
    d.array("x", shape)


def permute_dims(d: CaseBuilder) -> None:
    """Axes in any order."""
    shape = d.shape(d.integer(1, 3))
    d.setting("axes", st.permutations(range(len(shape))).map(tuple))
    d.array("x", shape)


def squeeze(d: CaseBuilder) -> None:
    """An axis of length 1."""
    shape = list(d.shape(d.integer(1, 3)))
    axis = d.setting("axis", axes(len(shape)))
    shape[axis] = 1
    d.array("x", shape)


def expand_dims(d: CaseBuilder) -> None:
    """The position of a new axis."""
    shape = d.draw(shapes())
    d.setting("axis", axes(len(shape) + 1))
    d.array("x", shape)


def roll(d: CaseBuilder) -> None:
    """Shifts of either sign, some longer than the axis."""
    shape = d.draw(shapes(min_dims=1))
    d.setting("shift", st.integers(-5, 5))
    d.setting("axis", axes(len(shape)))
    d.array("x", shape)


def sampled(d: CaseBuilder) -> None:
    """Samples along an axis, enough for slopes of second order."""
    shape = d.draw(shapes(min_dims=1, min_side=3))
    d.setting("axis", axes(len(shape)))
    d.setting("spacing", (1.0, 0.5))
    d.setting("edge_order", (1, 2))
    d.array("x", shape)


def integrand(d: CaseBuilder) -> None:
    """Samples of a function along an axis."""
    shape = d.draw(shapes(min_dims=1))
    d.setting("axis", axes(len(shape)))
    d.setting("dx", (1.0, 0.5))
    d.array("y", shape)


def windows(d: CaseBuilder) -> None:
    """Windows along one axis, not longer than it is."""
    shape = d.draw(shapes(min_dims=1))
    axis = d.setting("axis", axes(len(shape)))
    d.setting("window_shape", st.integers(1, shape[axis]))
    d.array("x", shape)


def combinations(d: CaseBuilder) -> None:
    """A vector; there may be no choices."""
    d.setting("r", st.integers(1, 3))
    d.setting("with_replacement", st.booleans())
    d.array("x", d.shape(1))


def triangle(d: CaseBuilder) -> None:
    """tril(x, k=…), triu(x, k=…)."""
    d.setting("k", st.integers(-2, 2))
    d.array("x", d.draw(shapes(min_dims=2)))


def lerp(d: CaseBuilder) -> None:
    """Three arrays of one shape."""
    shape = d.draw(shapes())
    for name in ("x1", "x2", "weight"):
        d.array(name, shape)


_SMOOTH = (
    *("negative", "square", "exp", "expm1", "sin", "cos", "atan", "sinh", "cosh", "tanh", "asinh"),
    *("erf", "sigmoid", "silu", "mish", "softsign", "logsigmoid", "tanhshrink", "positive"),
    *("hardsigmoid", "hardswish", "floor", "ceil", "round", "trunc", "isnan", "isinf", "isfinite"),
)

RECIPES: dict[str, Recipe] = {
    **{name: unary(REAL) for name in _SMOOTH},
    **{name: unary(NONZERO) for name in ("abs", "reciprocal", "relu", "relu6", "selu", "sign")},
    **{name: unary(POSITIVE) for name in ("sqrt", "log", "log2", "log10", "log1p")},
    **{name: unary(INSIDE) for name in ("asin", "acos", "atanh", "tan")},
    "acosh": unary(ABOVE_ONE),
    "hardtanh": unary(away_from(1, -1)),
    "softplus": unary(REAL, beta=(1.0, 2.0)),
    "leaky_relu": unary(NONZERO, negative_slope=(0.25, 0.01)),
    "elu": unary(NONZERO, alpha=(1.0, 0.5)),
    "celu": unary(NONZERO, alpha=(1.0, 0.5)),
    "gelu": unary(REAL, approximate=("none", "tanh")),
    "softshrink": unary(REAL, lambd=(9 / 16,)),
    "hardshrink": unary(REAL, lambd=(9 / 16,)),
    "clip": clip,
    "logit": unary(PROBABILITIES),
    "fmod": binary(REAL, NONZERO),
    "isclose": binary(INTEGERS, INTEGERS),
    **{name: binary(REAL, REAL) for name in ("add", "subtract", "multiply", "logaddexp")},
    **{name: binary(REAL, NONZERO) for name in ("divide", "remainder", "floor_divide")},
    **{name: binary(INTEGERS, HALVES) for name in ("maximum", "minimum", "fmax", "fmin")},
    **{name: binary(NONZERO, NONZERO) for name in ("atan2", "hypot", "copysign")},
    **{
        name: binary(INTEGERS, INTEGERS)
        for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
    },
    "pow": binary(POSITIVE, REAL),
    "xlogy": binary(REAL, POSITIVE),
    "where": where,
    "logical_not": of_dtype("bool", 1),
    **{name: of_dtype("bool", 2) for name in ("logical_and", "logical_or", "logical_xor")},
    **{
        f"bitwise_{name}": of_dtype("int64", 2, (0, 1, 2, 3, -1, -6))
        for name in ("and", "or", "xor")
    },
    **{name: reduction() for name in ("sum", "mean", "logsumexp", "nansum", "nanmean")},
    **{name: reduction(NONZERO, several=False) for name in ("prod", "nanprod")},
    **{name: reduction(distinct=True) for name in ("max", "min", "nanmax", "nanmin")},
    **dict.fromkeys(("var", "std", "nanvar", "nanstd"), moments),
    **{name: reduction(INTEGERS) for name in ("all", "any")},
    "count_nonzero": reduction(INTEGERS),
    **{name: reduction(several=False, distinct=True) for name in ("argmax", "argmin")},
    "cumulative_sum": along(include_initial=(False, True)),
    "cumulative_prod": along(NONZERO, include_initial=(False, True)),
    **{name: along(descending=(False, True), distinct=True) for name in ("sort", "argsort")},
    **{name: along() for name in ("softmax", "log_softmax", "softmin")},
    **dict.fromkeys(("trapezoid", "cumulative_trapezoid"), integrand),
    "gradient": sampled,
    "chunk": along(chunks=(1, 2, 3)),
    "sliding_window_view": windows,
    "combinations": combinations,
    "flip": reduction(keepdims=False),
    "reshape": reshape,
    "permute_dims": permute_dims,
    "squeeze": squeeze,
    "expand_dims": expand_dims,
    "roll": roll,
    "tril": triangle,
    "triu": triangle,
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
