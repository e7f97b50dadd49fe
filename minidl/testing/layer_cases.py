"""How cases are drawn of what layers compute: the arguments fit the input."""

from math import prod

from hypothesis import strategies as st

from minidl.testing.drawing import Drawing, Recipe
from minidl.testing.values import NONZERO, POSITIVE, REAL


def per_axis(n: int, low: int, high: int) -> st.SearchStrategy:
    """One number for all axes of a window, or one for each."""
    one = st.integers(low, high)
    return one if n == 1 else st.one_of(one, st.tuples(*[one] * n))


def spread(value: int | tuple[int, ...], n: int) -> tuple[int, ...]:
    """One number for each axis."""
    return (value,) * n if isinstance(value, int) else tuple(value)


def sizes(d: Drawing, needed: list[int], more: int) -> tuple[int, ...]:
    """Sides that are at least these, and at least 1."""
    return tuple(max(1, n) + d.integer(0, more) for n in needed)


def convolution(n: int) -> Recipe:
    """x (N, C, *), weight (O, C/groups, *k), bias (O); the dilated kernel fits the padded input."""

    def recipe(d: Drawing) -> None:
        stride = d.setting("stride", per_axis(n, 1, 3))
        padding = d.setting("padding", per_axis(n, 0, 2 if n < 3 else 1))
        dilation = d.setting("dilation", per_axis(n, 1, 2))
        groups = d.setting("groups", (1, 2))
        kernel = d.shape(n, 3 if n < 3 else 2)
        axes = zip(kernel, spread(dilation, n), spread(padding, n), strict=True)
        needed = [e * (k - 1) + 1 - 2 * p for k, e, p in axes]
        per_group, out = d.integer(1, 2), groups * d.integer(1, 2)
        more = max(spread(stride, n)) if n < 3 else 1
        d.array("x", (d.integer(1, 2), groups * per_group, *sizes(d, needed, more)))
        d.array("weight", (out, per_group, *kernel))
        d.array("bias", (out,), optional=True)

    return recipe


def transposed_convolution(n: int) -> Recipe:
    """x (N, C, *), weight (C, O/groups, *k), bias (O); the output is not empty."""

    def recipe(d: Drawing) -> None:
        stride = d.setting("stride", per_axis(n, 1, 3))
        padding = d.setting("padding", per_axis(n, 0, 1))
        dilation = d.setting("dilation", per_axis(n, 1, 2))
        least = min(map(max, spread(stride, n), spread(dilation, n)))
        extra = d.setting("output_padding", st.integers(0, least - 1))
        groups = d.setting("groups", (1, 2))
        kernel, size = d.shape(n, 3 if n < 3 else 2), d.shape(n, 3 if n < 3 else 2)
        rows = (size, kernel, *(spread(v, n) for v in (stride, padding, dilation, extra)))
        for i, k, s, p, e, more in zip(*rows, strict=True):
            d.need((i - 1) * s - 2 * p + e * (k - 1) + more + 1 >= 1)
        channels, per_group = groups * d.integer(1, 2), d.integer(1, 2)
        d.array("x", (d.integer(1, 2), channels, *size))
        d.array("weight", (channels, per_group, *kernel))
        d.array("bias", (groups * per_group,), optional=True)

    return recipe


def _pooled(d: Drawing, n: int, *, dilated: bool, padded: bool = True) -> tuple[int, ...]:
    """The settings of a pool, and the shape of an input that they fit."""
    most = 3 if n < 3 else 2
    kernel = spread(d.setting("kernel_size", per_axis(n, 1, most)), n)
    d.setting("stride", st.one_of(st.none(), per_axis(n, 1, 3)))
    pads = spread(d.setting("padding", st.integers(0, min(kernel) // 2)), n) if padded else (0,) * n
    dilation = spread(d.setting("dilation", per_axis(n, 1, 2)) if dilated else 1, n)
    d.setting("ceil_mode", st.booleans())
    rows = zip(kernel, dilation, pads, strict=True)
    needed = [max(e, e * (k - 1) + 1 - 2 * p) for k, e, p in rows]  # windows see some input
    return (d.integer(1, 2), d.integer(1, 2), *sizes(d, needed, 3 if n < 3 else 1))


def max_pool(n: int) -> Recipe:
    """Inputs whose elements all differ, so that every window has one largest."""
    return lambda d: d.array("x", _pooled(d, n, dilated=True), distinct=True)


def average_pool(n: int) -> Recipe:
    """Averages over windows."""

    def recipe(d: Drawing) -> None:
        shape = _pooled(d, n, dilated=False)
        d.setting("count_include_pad", st.booleans())
        d.array("x", shape)

    return recipe


def norm_pool(n: int) -> Recipe:
    """Norms of windows."""

    def recipe(d: Drawing) -> None:
        d.setting("norm_type", (2, 3))
        d.array("x", _pooled(d, n, dilated=False, padded=False), POSITIVE)

    return recipe


def adaptive_pool(n: int) -> Recipe:
    """Pools with a given output."""

    def recipe(d: Drawing) -> None:
        d.setting("output_size", per_axis(n, 1, 3))
        shape = (d.integer(1, 2), d.integer(1, 2), *d.shape(n, 5 if n < 3 else 3))
        d.array("x", shape, distinct=True)

    return recipe


def _normalised(d: Drawing, shape: tuple[int, ...], parameters: tuple[int, ...]) -> None:
    d.setting("eps", (1e-5, 0.125))
    d.array("x", shape, distinct=True)
    d.array("weight", parameters, optional=True)
    if d.case.arrays["weight"] is None:
        d.given("bias", None)  # PyTorch's group_norm fails with a bias alone
    else:
        d.array("bias", parameters, optional=True)


def channel_norm(d: Drawing) -> None:
    """batch_norm, instance_norm: x (N, C, *), of at least two elements each."""
    channels = d.integer(1, 3)
    _normalised(d, (d.integer(2, 3), channels, d.integer(2, 3)), (channels,))


def group_norm(d: Drawing) -> None:
    """x (N, C, *); the groups divide C."""
    groups = d.setting("num_groups", (1, 2))
    channels = groups * d.integer(1, 2)
    _normalised(d, (d.integer(1, 2), channels, d.integer(2, 3)), (channels,))


def layer_norm(d: Drawing) -> None:
    """x (*, *normalized_shape)."""
    last = d.setting("normalized_shape", st.one_of(*(st.tuples(*[st.integers(2, 3)] * n)
                                                     for n in (1, 2))))  # fmt: skip
    _normalised(d, (*d.shape(d.integer(0, 2), 3), *last), tuple(last))


def rms_norm(d: Drawing) -> None:
    """x (*, *normalized_shape), weight."""
    last = d.setting("normalized_shape", st.tuples(st.integers(1, 4)))
    d.setting("eps", (1e-5, 0.125))
    d.array("x", (*d.shape(d.integer(0, 2), 3), *last), NONZERO)
    d.array("weight", tuple(last), optional=True)


def local_response_norm(d: Drawing) -> None:
    """x (N, C, *)."""
    d.setting("size", st.integers(1, 4))
    d.array("x", d.shape(3, 4))


def linear(d: Drawing) -> None:
    """x (…, I), weight (O, I), bias (O)."""
    inputs, outputs = d.integer(1, 4), d.integer(1, 4)
    d.array("x", (*d.shape(d.integer(0, 2), 3), inputs))
    d.array("weight", (outputs, inputs))
    d.array("bias", (outputs,), optional=True)


def bilinear(d: Drawing) -> None:
    """x1 (N, I), x2 (N, J), weight (O, I, J), bias (O)."""
    n, i, j, out = d.shape(4, 3)
    d.array("x1", (n, i))
    d.array("x2", (n, j))
    d.array("weight", (out, i, j))
    d.array("bias", (out,), optional=True)


def embedding(d: Drawing) -> None:
    """weight (V, D), ids (…)."""
    words = d.integer(1, 5)
    d.array("weight", (words, d.integer(1, 3)))
    d.indices("ids", d.shape(d.integer(0, 2)), words)


def interpolate(d: Drawing) -> None:
    """x (N, C, *), of one or two axes, to a given size."""
    n = d.integer(1, 2)
    smooth = ("linear",) if n == 1 else ("bilinear", "bicubic")
    mode = d.setting("mode", ("nearest", "nearest-exact", "area", *smooth))
    n = {"linear": 1, "bilinear": 2, "bicubic": 2}.get(mode, n)
    d.setting("size", st.tuples(*[st.integers(1, 5)] * n))
    linear_mode = mode in ("linear", "bilinear", "bicubic")
    d.setting("align_corners", (False, True) if linear_mode else (None,))
    d.array("x", (1, d.integer(1, 2), *d.shape(n)))


def pad(d: Drawing) -> None:
    """x (N, C, *); reflected and wrapped by less than there is."""
    mode = d.setting("mode", ("constant", "reflect", "replicate", "circular"))
    n = d.integer(1, 2)
    size = d.shape(n)
    if mode == "constant":
        d.setting("value", (0.0, 1.5))
    most = {"reflect": -1, "circular": 0}.get(mode)
    pairs = [2 if most is None else min(2, side + most) for side in reversed(size)]
    d.setting("widths", st.tuples(*(st.integers(0, p) for p in pairs for _ in range(2))))
    d.array("x", (1, d.integer(1, 2), *size))


def unfold(d: Drawing) -> None:
    """x (N, C, H, W): windows as columns."""
    kernel = spread(d.setting("kernel_size", per_axis(2, 1, 2)), 2)
    dilation = spread(d.setting("dilation", per_axis(2, 1, 2)), 2)
    padding = spread(d.setting("padding", per_axis(2, 0, 1)), 2)
    d.setting("stride", per_axis(2, 1, 2))
    needed = [e * (k - 1) + 1 - 2 * p for k, e, p in zip(kernel, dilation, padding, strict=True)]
    d.array("x", (1, d.integer(1, 2), *sizes(d, needed, 2)))


def shuffled(name: str, up: bool) -> Recipe:
    """Channels become pixels, or the other way round."""

    def recipe(d: Drawing) -> None:
        r = d.setting(name, (1, 2))
        c, h, w = d.shape(3, 2)
        d.array("x", (1, c * r * r, h, w) if up else (1, c, h * r, w * r))

    return recipe


def channel_shuffle(d: Drawing) -> None:
    """The groups divide the channels."""
    groups = d.setting("groups", (1, 2, 3))
    d.array("x", (1, groups * d.integer(1, 3), *d.shape(2, 2)))


def normalize(d: Drawing) -> None:
    """x divided by its norms along an axis."""
    shape = d.shape(d.integer(1, 3), 3)
    d.setting("p", (2.0, 3.0))
    d.setting("axis", st.sampled_from(range(len(shape))))
    d.array("x", shape, NONZERO)


def cosine_similarity(d: Drawing) -> None:
    """Two arrays of one shape, of vectors that are not 0."""
    shape = d.shape(d.integer(1, 3), 3)
    d.setting("axis", st.sampled_from(range(len(shape))))
    d.array("x1", shape, NONZERO)
    d.array("x2", shape, NONZERO)


def prelu(d: Drawing) -> None:
    """x (N, C, *), weight (1) or (C)."""
    shape = d.shape(d.integer(2, 3), 3)
    d.array("x", shape, NONZERO)
    d.array("weight", (d.draw(st.sampled_from(sorted({1, shape[1]}))),), REAL)


def glu(d: Drawing) -> None:
    """The sides along the axis are even."""
    shape = list(d.shape(d.integer(1, 3), 3))
    axis = d.setting("axis", st.sampled_from(range(len(shape))))
    shape[axis] *= 2
    d.need(prod(shape) <= 64)
    d.array("x", shape)


RECIPES: dict[str, Recipe] = {
    **{f"conv{n}d": convolution(n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": transposed_convolution(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d": max_pool(n) for n in (1, 2, 3)},
    **{f"avg_pool{n}d": average_pool(n) for n in (1, 2, 3)},
    **{f"lp_pool{n}d": norm_pool(n) for n in (1, 2)},
    **{f"adaptive_{kind}_pool{n}d": adaptive_pool(n) for kind in ("avg", "max") for n in (1, 2, 3)},
    **dict.fromkeys(("batch_norm", "instance_norm"), channel_norm),
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "local_response_norm": local_response_norm,
    "linear": linear,
    "bilinear": bilinear,
    "embedding": embedding,
    "interpolate": interpolate,
    "pad": pad,
    "unfold": unfold,
    "pixel_shuffle": shuffled("upscale_factor", True),
    "pixel_unshuffle": shuffled("downscale_factor", False),
    "channel_shuffle": channel_shuffle,
    "normalize": normalize,
    "cosine_similarity": cosine_similarity,
    "prelu": prelu,
    "glu": glu,
}
