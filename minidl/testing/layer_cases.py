"""Cases for the operations of layers: convolution, pooling, normalisation, embedding, resizing."""

from math import prod

import numpy as np
from hypothesis import strategies as st

from minidl.testing.case_builder import CaseBuilder, Recipe
from minidl.testing.values import INSIDE, NONZERO, POSITIVE, PROBABILITIES, REAL

SIXTEENTHS = tuple(v / 2 + 1 / 32 for v in INSIDE)  # sampling points that never hit a pixel


def per_axis(n: int, low: int, high: int) -> st.SearchStrategy:
    """An integer for all axes of a window, or a tuple with one for each."""
    one = st.integers(low, high)
    return one if n == 1 else st.one_of(one, st.tuples(*[one] * n))


def spread(value: int | tuple[int, ...], n: int) -> tuple[int, ...]:
    """One value for each axis."""
    return (value,) * n if isinstance(value, int) else tuple(value)


def sizes(d: CaseBuilder, minimum: list[int], extra: int) -> tuple[int, ...]:
    """Lengths of at least these minima, and at least 1."""
    return tuple(max(1, n) + d.integer(0, extra) for n in minimum)


def convolution(n: int) -> Recipe:
    """x (N, C, *), weight (O, C/groups, *k), bias (O); the dilated kernel fits the padded input."""

    def recipe(d: CaseBuilder) -> None:
        stride = d.setting("stride", per_axis(n, 1, 3))
        padding = d.setting("padding", per_axis(n, 0, 2 if n < 3 else 1))
        dilation = d.setting("dilation", per_axis(n, 1, 2))
        groups = d.setting("groups", (1, 2))
        kernel = d.shape(n, 3 if n < 3 else 2)
        axes = zip(kernel, spread(dilation, n), spread(padding, n), strict=True)
        minimum = [e * (k - 1) + 1 - 2 * p for k, e, p in axes]
        per_group, out = d.integer(1, 2), groups * d.integer(1, 2)
        extra = max(spread(stride, n)) if n < 3 else 1
        d.array("x", (d.integer(1, 2), groups * per_group, *sizes(d, minimum, extra)))
        d.array("weight", (out, per_group, *kernel))
        d.array("bias", (out,), optional=True)

    return recipe


def transposed_convolution(n: int) -> Recipe:
    """x (N, C, *), weight (C, O/groups, *k), bias (O); the output is not empty."""

    def recipe(d: CaseBuilder) -> None:
        stride = d.setting("stride", per_axis(n, 1, 3))
        padding = d.setting("padding", per_axis(n, 0, 1))
        dilation = d.setting("dilation", per_axis(n, 1, 2))
        bound = min(map(max, spread(stride, n), spread(dilation, n)))
        extra = d.setting("output_padding", st.integers(0, bound - 1))
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


def _pooled(d: CaseBuilder, n: int, *, dilated: bool, padded: bool = True) -> tuple[int, ...]:
    """Draw the settings of a pooling; return the shape of an input that fits them."""
    largest = 3 if n < 3 else 2
    kernel = spread(d.setting("kernel_size", per_axis(n, 1, largest)), n)
    d.setting("stride", st.one_of(st.none(), per_axis(n, 1, 3)))
    pads = spread(d.setting("padding", st.integers(0, min(kernel) // 2)), n) if padded else (0,) * n
    dilation = spread(d.setting("dilation", per_axis(n, 1, 2)) if dilated else 1, n)
    d.setting("ceil_mode", st.booleans())
    rows = zip(kernel, dilation, pads, strict=True)
    minimum = [max(e, e * (k - 1) + 1 - 2 * p) for k, e, p in rows]  # no window is all padding
    return (d.integer(1, 2), d.integer(1, 2), *sizes(d, minimum, 3 if n < 3 else 1))


def max_pool(n: int) -> Recipe:
    """Inputs with distinct elements, so that every window has a unique maximum."""
    return lambda d: d.array("x", _pooled(d, n, dilated=True), distinct=True)


def average_pool(n: int) -> Recipe:
    """Averages over windows."""

    def recipe(d: CaseBuilder) -> None:
        shape = _pooled(d, n, dilated=False)
        d.setting("count_include_pad", st.booleans())
        d.array("x", shape)

    return recipe


def norm_pool(n: int) -> Recipe:
    """Norms of windows."""

    def recipe(d: CaseBuilder) -> None:
        d.setting("norm_type", (2, 3))
        d.array("x", _pooled(d, n, dilated=False, padded=False), POSITIVE)

    return recipe


def adaptive_pool(n: int) -> Recipe:
    """Pooling to a given output size."""

    def recipe(d: CaseBuilder) -> None:
        d.setting("output_size", per_axis(n, 1, 3))
        shape = (d.integer(1, 2), d.integer(1, 2), *d.shape(n, 5 if n < 3 else 3))
        d.array("x", shape, distinct=True)

    return recipe


def _normalised(d: CaseBuilder, shape: tuple[int, ...], parameters: tuple[int, ...]) -> None:
    d.setting("eps", (1e-5, 0.125))
    d.array("x", shape, distinct=True)
    d.array("weight", parameters, optional=True)
    if d.case.arrays["weight"] is None:
        d.argument("bias", None)  # PyTorch's group_norm fails with a bias alone
    else:
        d.array("bias", parameters, optional=True)


def channel_norm(d: CaseBuilder) -> None:
    """batch_norm and instance_norm: x (N, C, *), with at least two elements to normalise over."""
    channels = d.integer(1, 3)
    _normalised(d, (d.integer(2, 3), channels, d.integer(2, 3)), (channels,))


def group_norm(d: CaseBuilder) -> None:
    """x (N, C, *); the groups divide C."""
    groups = d.setting("num_groups", (1, 2))
    channels = groups * d.integer(1, 2)
    _normalised(d, (d.integer(1, 2), channels, d.integer(2, 3)), (channels,))


def layer_norm(d: CaseBuilder) -> None:
    """x (*, *normalized_shape)."""
    last = d.setting("normalized_shape", st.one_of(*(st.tuples(*[st.integers(2, 3)] * n)
                                                     for n in (1, 2))))  # fmt: skip
    _normalised(d, (*d.shape(d.integer(0, 2), 3), *last), tuple(last))


def rms_norm(d: CaseBuilder) -> None:
    """x (*, *normalized_shape), weight."""
    last = d.setting("normalized_shape", st.tuples(st.integers(1, 4)))
    d.setting("eps", (1e-5, 0.125))
    d.array("x", (*d.shape(d.integer(0, 2), 3), *last), NONZERO)
    d.array("weight", tuple(last), optional=True)


def local_response_norm(d: CaseBuilder) -> None:
    """x (N, C, *)."""
    d.setting("size", st.integers(1, 4))
    d.array("x", d.shape(3, 4))


def linear(d: CaseBuilder) -> None:
    """x (…, I), weight (O, I), bias (O)."""
    inputs, outputs = d.integer(1, 4), d.integer(1, 4)
    d.array("x", (*d.shape(d.integer(0, 2), 3), inputs))
    d.array("weight", (outputs, inputs))
    d.array("bias", (outputs,), optional=True)


def bilinear(d: CaseBuilder) -> None:
    """x1 (N, I), x2 (N, J), weight (O, I, J), bias (O)."""
    n, i, j, out = d.shape(4, 3)
    d.array("x1", (n, i))
    d.array("x2", (n, j))
    d.array("weight", (out, i, j))
    d.array("bias", (out,), optional=True)


def embedding(d: CaseBuilder) -> None:
    """weight (V, D), ids (…)."""
    vocabulary = d.integer(1, 5)
    d.array("weight", (vocabulary, d.integer(1, 3)))
    d.indices("ids", d.shape(d.integer(0, 2)), vocabulary)


def interpolate(d: CaseBuilder) -> None:
    """x (N, C, *), with one or two spatial axes, to a given size."""
    n = d.integer(1, 2)
    smooth = ("linear",) if n == 1 else ("bilinear", "bicubic")
    mode = d.setting("mode", ("nearest", "nearest-exact", "area", *smooth))
    n = {"linear": 1, "bilinear": 2, "bicubic": 2}.get(mode, n)
    d.setting("size", st.tuples(*[st.integers(1, 5)] * n))
    linear_mode = mode in ("linear", "bilinear", "bicubic")
    d.setting("align_corners", (False, True) if linear_mode else (None,))
    d.array("x", (1, d.integer(1, 2), *d.shape(n)))


def pad(d: CaseBuilder) -> None:
    """x (N, C, *); reflection and wrapping stay within the length of the axis."""
    mode = d.setting("mode", ("constant", "reflect", "replicate", "circular"))
    n = d.integer(1, 2)
    size = d.shape(n)
    if mode == "constant":
        d.setting("value", (0.0, 1.5))
    limit = {"reflect": -1, "circular": 0}.get(mode)  # of the padding, relative to the length
    pairs = [2 if limit is None else min(2, side + limit) for side in reversed(size)]
    d.setting("widths", st.tuples(*(st.integers(0, p) for p in pairs for _ in range(2))))
    d.array("x", (1, d.integer(1, 2), *size))


def unfold(d: CaseBuilder) -> None:
    """x (N, C, H, W): im2col."""
    kernel = spread(d.setting("kernel_size", per_axis(2, 1, 2)), 2)
    dilation = spread(d.setting("dilation", per_axis(2, 1, 2)), 2)
    padding = spread(d.setting("padding", per_axis(2, 0, 1)), 2)
    d.setting("stride", per_axis(2, 1, 2))
    minimum = [e * (k - 1) + 1 - 2 * p for k, e, p in zip(kernel, dilation, padding, strict=True)]
    d.array("x", (1, d.integer(1, 2), *sizes(d, minimum, 2)))


def shuffled(name: str, up: bool) -> Recipe:
    """pixel_shuffle, which turns channels into pixels, or its inverse."""

    def recipe(d: CaseBuilder) -> None:
        r = d.setting(name, (1, 2))
        c, h, w = d.shape(3, 2)
        d.array("x", (1, c * r * r, h, w) if up else (1, c, h * r, w * r))

    return recipe


def channel_shuffle(d: CaseBuilder) -> None:
    """The groups divide the channels."""
    groups = d.setting("groups", (1, 2, 3))
    d.array("x", (1, groups * d.integer(1, 3), *d.shape(2, 2)))


def prelu(d: CaseBuilder) -> None:
    """x (N, C, *), weight (1) or (C)."""
    shape = d.shape(d.integer(2, 3), 3)
    d.array("x", shape, NONZERO)
    d.array("weight", (d.draw(st.sampled_from(sorted({1, shape[1]}))),), REAL)


def glu(d: CaseBuilder) -> None:
    """An axis of even length."""
    shape = list(d.shape(d.integer(1, 3), 3))
    axis = d.setting("axis", st.sampled_from(range(len(shape))))
    shape[axis] *= 2
    d.need(prod(shape) <= 64)
    d.array("x", shape)


def grid_sample(d: CaseBuilder) -> None:
    """x (N, C, H, W), grid (N, h, w, 2)."""
    d.setting("mode", ("bilinear", "nearest", "bicubic"))
    d.setting("padding_mode", ("zeros", "border", "reflection"))
    d.setting("align_corners", st.booleans())
    n, c, height, width = d.shape(4, 3)
    d.array("x", (n, c, height, width))
    d.array("grid", (n, *d.shape(2, 2), 2), SIXTEENTHS)


def affine_grid(d: CaseBuilder) -> None:
    """theta (N, 2, 3) or (N, 3, 4)."""
    axes, n = d.integer(2, 3), d.integer(1, 2)
    d.setting("size", st.tuples(st.just(n), st.just(1), *[st.integers(1, 3)] * axes))
    d.setting("align_corners", st.booleans())
    d.array("theta", (n, axes, axes + 1))


def fold(d: CaseBuilder) -> None:
    """x (N, C·∏k, L), with a column for each of the L patches."""
    size = d.setting("output_size", st.tuples(*[st.integers(2, 4)] * 2))
    kernel = spread(d.setting("kernel_size", per_axis(2, 1, 2)), 2)
    padding = spread(d.setting("padding", per_axis(2, 0, 1)), 2)
    stride = spread(d.setting("stride", per_axis(2, 1, 2)), 2)
    rows = zip(size, kernel, padding, stride, strict=True)
    patches = prod((n + 2 * p - k) // s + 1 for n, k, p, s in rows)
    d.array("x", (d.integer(1, 2), d.integer(1, 2) * prod(kernel), patches))


def max_unpool(n: int) -> Recipe:
    """x (N, C, *), and indices that a max pooling without overlap could have returned."""

    def recipe(d: CaseBuilder) -> None:
        kernel = spread(d.setting("kernel_size", per_axis(n, 1, 2)), n)
        shape = (*d.shape(2, 2), *d.shape(n, 2))
        indices = np.zeros(shape, "int64")
        for axis, k in enumerate(kernel):
            starts = np.arange(shape[2 + axis]) * k
            within = d.elements(shape, range(k), dtype="int64")
            along = starts.reshape([-1 if i == axis else 1 for i in range(n)]) + within
            indices = indices * (shape[2 + axis] * k) + along
        d.array("x", shape)
        d.argument("indices", indices)

    return recipe


def fractional_pool(n: int) -> Recipe:
    """x (N, C, *), and the random samples that position the windows."""

    def recipe(d: CaseBuilder) -> None:
        kernel = spread(d.setting("kernel_size", per_axis(n, 1, 2)), n)
        output = spread(d.setting("output_size", per_axis(n, 1, 3)), n)
        minimum = [k + m for k, m in zip(kernel, output, strict=True)]
        images = d.shape(2, 2)  # (N, C)
        d.array("x", (*images, *sizes(d, minimum, 2)), distinct=True)
        d.array("samples", (*images, n), (0.0, *PROBABILITIES), constant=True)

    return recipe


def embedding_bag(d: CaseBuilder) -> None:
    """weight (V, D) with distinct elements, ids (B, n)."""
    d.setting("mode", ("mean", "sum", "max"))
    vocabulary = d.integer(1, 5)
    d.array("weight", (vocabulary, d.integer(1, 3)), distinct=True)
    count, length = d.shape(2, 3)
    rows = [
        np.roll(np.arange(vocabulary), i)[:length] for i in range(count)
    ]  # each id once in a bag
    d.argument("ids", np.stack(rows).astype("int64"))


def attention(d: CaseBuilder) -> None:
    """query (B, H, L, E), key (B, H, S, E), value (B, H, S, V), attn_mask (L, S) without causal."""
    batch, heads, queries, keys = (d.integer(1, 2), d.integer(1, 3), *d.shape(2))
    features = d.integer(1, 4)
    causal = d.setting("is_causal", (False, True))
    d.setting("scale", (None, 0.5))
    d.array("query", (batch, heads, queries, features))
    d.array("key", (batch, heads, keys, features))
    d.array("value", (batch, heads, keys, d.integer(1, 4)))
    if causal:
        d.argument("attn_mask", None)
    else:
        d.array("attn_mask", (queries, keys), optional=True)


def rotary_embedding(d: CaseBuilder) -> None:
    """x (*, L, ≥ 2·n), cos and sin (L, n)."""
    d.setting("interleaved", (False, True))
    length, n = d.shape(2, 3)
    d.array("x", (*d.shape(d.integer(0, 2), 2), length, 2 * n + d.integer(0, 1)))
    d.array("cos", (length, n))
    d.array("sin", (length, n))


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
    "prelu": prelu,
    "glu": glu,
    "grid_sample": grid_sample,
    "affine_grid": affine_grid,
    "fold": fold,
    **{f"max_unpool{n}d": max_unpool(n) for n in (1, 2, 3)},
    **{f"fractional_max_pool{n}d": fractional_pool(n) for n in (2, 3)},
    "embedding_bag": embedding_bag,
    "scaled_dot_product_attention": attention,
    "rotary_embedding": rotary_embedding,
}
