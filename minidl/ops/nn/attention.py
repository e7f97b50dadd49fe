"""Scaled dot-product attention."""

import math

from minidl import dtypes
from minidl.autograd.primitive import composite
from minidl.checks import check_flags, check_numbers, check_probability
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.ops.arrangement import joint_shape
from minidl.ops.casting import real_floats


@composite(keep_dtype=[3], wide=True, by_name=["attn_mask"])
def scaled_dot_product_attention(
    xp,
    query,
    key,
    value,
    /,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    enable_gqa=False,
    *,
    dropout_key=None,
):
    """y = softmax(q·kᵀ·scale + mask)·v: for each query, a weighted mean of the values.

    query          (…, Hq, L, E): L queries of E numbers for each of Hq heads
    key, value     (…, H, S, E) and (…, H, S, Ev); the result is (…, Hq, L, Ev)
    attn_mask      broadcasts to (…, Hq, L, S): bools, True where the query sees the key, or floats,
                   which are added to the logits, −inf where it does not: float32, or as query,
                   whose dtype the result has
    dropout_p      the probability with which a weight becomes 0; the others are divided by 1 − p
    is_causal      query i sees keys 0 … i only; beside a mask, both hold (PyTorch refuses this)
    scale          default: 1/√E
    enable_gqa     grouped queries: H divides Hq, and Hq/H heads in a row share a key and a value
    dropout_key    (seed, offset) of the random numbers, as `Generator.key` gives; for dropout_p > 0

    A query that sees no key gives zeros, and zero gradients.  Keys and values that no query of
    their head sees (for grouped queries: of any head) have no influence, even if they are NaN; one
    that some queries of the head see should be finite, since its weight 0 for the others is
    multiplied with it.

    Vaswani et al. 2017, arXiv:1706.03762; grouped queries: Ainslie et al. 2023, arXiv:2305.13245.

    >>> query, key = minidl.tensor([[8.0, 0.0]]), minidl.tensor([[9.0, 0.0], [0.0, 9.0]])
    >>> value = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> minidl.scaled_dot_product_attention(query, key, value)
    Tensor([[1., 2.]], shape=(1, 2), float32)
    >>> mask = minidl.tensor([False, True])
    >>> minidl.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    Tensor([[3., 4.]], shape=(1, 2), float32)
    """
    settings = dropout_p, is_causal, scale, enable_gqa, dropout_key
    return _attend(xp, query, key, value, attn_mask, *settings)[0]


@composite(keep_dtype=[3], wide=True, outputs=2, by_name=["attn_mask"])
def attention_with_weights(
    xp,
    query,
    key,
    value,
    /,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    enable_gqa=False,
    *,
    dropout_key=None,
):
    """The same, and the weights by which the values were multiplied: (…, Hq, L, S)."""
    settings = dropout_p, is_causal, scale, enable_gqa, dropout_key
    return _attend(xp, query, key, value, attn_mask, *settings)


def _attend(xp, query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, dropout_key):
    """y, and the weights."""
    _check_settings(dropout_p, is_causal, scale, enable_gqa, dropout_key)
    query, key, value = (real_floats(xp, x) for x in (query, key, value))
    shape = _shape_of_logits(query, key, value, enable_gqa)
    visible = _visible(xp, attn_mask, is_causal, shape, query)
    key, value = (_seen_by_any(xp, x, visible, enable_gqa) for x in (key, value))
    weights = _weights(xp, query, key, attn_mask, visible, shape, scale)
    if dropout_p:
        weights = xp.dropout(weights, dropout_p, key=dropout_key)
    return _per_group(xp, weights, value, (*shape[:-1], value.shape[-1])), weights


@composite(keep_dtype=[2], wide=True, by_name=["attn_mask"])
def attention_weights(
    xp,
    query,
    key,
    /,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    enable_gqa=False,
    *,
    dropout_key=None,
):
    """softmax(q·kᵀ·scale + mask): what `scaled_dot_product_attention` multiplies the values by.

    The arguments are the same, and the result is (…, Hq, L, S).
    """
    _check_settings(dropout_p, is_causal, scale, enable_gqa, dropout_key)
    query, key = (real_floats(xp, x) for x in (query, key))
    shape = _shape_of_logits(query, key, key, enable_gqa)
    visible = _visible(xp, attn_mask, is_causal, shape, query)
    key = _seen_by_any(xp, key, visible, enable_gqa)
    weights = _weights(xp, query, key, attn_mask, visible, shape, scale)
    return xp.dropout(weights, dropout_p, key=dropout_key) if dropout_p else weights


def _weights(xp, query, key, attn_mask, visible, shape, scale):
    """The softmax of the logits, with 0 for what a query does not see."""
    if scale is None:
        scale = 1 / math.sqrt(max(query.shape[-1], 1))
    logits = _per_group(xp, query * scale, xp.matrix_transpose(key), shape)
    if attn_mask is not None and attn_mask.dtype.kind == "f":
        logits = logits + attn_mask
    if visible is None:
        return xp.softmax(logits)
    sees_any = xp.any(visible, axis=-1, keepdims=True)  # the softmax of nothing would be 0 / 0
    logits = xp.where(sees_any, xp.where(visible, logits, -math.inf), 0)
    return xp.where(sees_any, xp.softmax(logits), 0)


def _per_group(xp, rows, matrices, shape):
    """rows (…, Hq, L, n) times matrices (…, H, n, m), each for Hq/H heads: (…, Hq, L, m).

    The rows of heads that share a matrix are taken together, so that no matrix is copied.
    """
    if min(rows.ndim, matrices.ndim) < 3 or matrices.shape[-3] >= rows.shape[-3]:
        return rows @ matrices
    *batch, heads, length, n = rows.shape
    groups = matrices.shape[-3]
    together = xp.reshape(rows, (*batch, groups, heads // groups * length, n))
    return xp.reshape(together @ matrices, shape)


def _visible(xp, attn_mask, is_causal, shape, query):
    """Which key each query sees, bools that broadcast to the logits; None: all of them."""
    visible = None
    if attn_mask is not None:
        visible = attn_mask if attn_mask.dtype.kind == "b" else attn_mask != -math.inf
        _check_mask(attn_mask, shape, query.dtype)
        visible = visible if visible.ndim else xp.reshape(visible, (1, 1))
    if is_causal:
        causal = xp.tril(xp.ones(shape[-2:], dtype="bool", device=query.device))
        visible = causal if visible is None else xp.logical_and(visible, causal)
    return visible


def _seen_by_any(xp, x, visible, enable_gqa):
    """Keys or values, with 0 for those that no query of their head sees."""
    if visible is None:
        return x
    seen = xp.any(visible, axis=-2) if visible.ndim > 1 else visible
    if enable_gqa and seen.ndim > 1:
        seen = xp.any(seen, axis=-2, keepdims=True)
    return xp.where(xp.expand_dims(seen, axis=-1), x, 0)


def _check_settings(dropout_p, is_causal, scale, enable_gqa, dropout_key):
    """Raise ArgumentError for settings that are none."""
    name = "scaled_dot_product_attention"
    check_probability(name, dropout_p=dropout_p)
    check_flags(name, is_causal=is_causal, enable_gqa=enable_gqa)
    if scale is not None:
        check_numbers(name, finite=True, scale=scale)
    if dropout_p and dropout_key is None:
        raise ArgumentError(
            "dropout_p > 0 needs dropout_key, a (seed, offset) of random numbers, as "
            "minidl.random.default_generator.key(n) gives for n weights"
        )


def _shape_of_logits(query, key, value, enable_gqa):
    """(…, Hq, L, S), after checking that the shapes fit."""
    shapes = query.shape, key.shape, value.shape
    fits = min(query.ndim, key.ndim, value.ndim) > 1
    fits = fits and query.shape[-1] == key.shape[-1] and key.shape[-2] == value.shape[-2]
    if not fits:
        raise ShapeError(
            "needs query (…, Hq, L, E), key (…, H, S, E) and value (…, H, S, Ev); got "
            "{}, {} and {}".format(*shapes)
        )
    heads = [shape[-3] if len(shape) > 2 else 1 for shape in shapes]
    if enable_gqa:
        if heads[1] != heads[2] or not heads[1] or heads[0] % heads[1]:
            raise ShapeError(
                "enable_gqa needs as many heads of value as of key, which divide those of query; "
                "got query {}, key {} and value {}".format(*shapes)
            )
        heads = [heads[0]] * 3
    axes = [(*x[:-3], n) if len(x) > 2 else () for x, n in zip(shapes, heads, strict=True)]
    try:
        leading = joint_shape(axes)
    except ShapeError:
        hint = "" if enable_gqa else "; fewer heads of key than of query need enable_gqa=True"
        raise ShapeError(
            "the heads and the axes before them must be equal or 1; got query {}, key {} and "
            "value {}".format(*shapes)
            + hint
        ) from None
    return (*leading, query.shape[-2], key.shape[-2])


def _check_mask(attn_mask, shape, dtype):
    """Raise unless the mask has bools or floats, and broadcasts to the logits.

    Other floats than the default ones would give the result another dtype than that of the query.
    """
    if attn_mask.dtype.kind == "f" and attn_mask.dtype not in (dtype, dtypes.float32):
        raise DTypeError(
            f"attn_mask has bools, float32 or, as query, {dtype}; got {describe(attn_mask)}; "
            f'attn_mask.astype("{dtype}") converts it'
        )
    if attn_mask.dtype.kind not in "bf":
        raise DTypeError(
            "attn_mask has bools, True where a query sees a key, or floats, to be added to the "
            f"logits; got {describe(attn_mask)}"
        )
    try:
        fits = joint_shape([attn_mask.shape, shape]) == shape
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"attn_mask must broadcast to (…, Hq, L, S), {shape}; got {attn_mask.shape}"
        )
