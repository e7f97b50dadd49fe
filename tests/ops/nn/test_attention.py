"""Attention as an operation, beside PyTorch's: shapes, masks, what has no influence, misuse."""

import itertools

import numpy as np
import pytest

import minidl
from minidl.errors import ArgumentError, DTypeError, MinidlError, ShapeError
from minidl.ops.nn.attention import attention_weights, attention_with_weights
from tests.oracle import functional, torch
from tests.parity import assert_same, random

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
SHAPES = {  # of query, key and value
    "heads": [(2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 7)],
    "no batch": [(3, 5, 4), (3, 5, 4), (3, 5, 4)],
    "one head": [(5, 4), (6, 4), (6, 2)],
    "two batches": [(2, 2, 1, 3, 4), (2, 2, 1, 2, 4), (2, 2, 1, 2, 4)],
    "one query": [(2, 3, 1, 4), (2, 3, 6, 4), (2, 3, 6, 4)],
    "one feature": [(2, 3, 5, 1), (2, 3, 6, 1), (2, 3, 6, 1)],
    "long": [(1, 2, 70, 8), (1, 2, 90, 8), (1, 2, 90, 8)],
}
MASKS = {
    "none": lambda rng, *shape: None,
    "bools": lambda rng, *shape: rng.random(shape) < 0.7,
    "of all heads": lambda rng, b, h, *rest: rng.random((b, 1, *rest)) < 0.7,
    "of keys": lambda rng, b, h, n, s: rng.random((b, 1, 1, s)) < 0.7,
    "of queries": lambda rng, b, h, n, s: rng.random((n, 1)) < 0.7,
    "floats": lambda rng, *shape: rng.normal(size=shape),
    "infinite": lambda rng, *shape: np.where(rng.random(shape) < 0.7, 0.5, -np.inf),
    "large": lambda rng, *shape: np.where(rng.random(shape) < 0.7, 0.0, -1e9),
}


def draw(shapes, dtype="float64"):
    return [random(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]


@each_dtype
@pytest.mark.parametrize("name", SHAPES)
def test_attention_of_all_shapes_is_pytorchs(name, dtype):
    for settings in ({}, {"is_causal": True}, {"scale": 0.3}):
        if settings.get("is_causal") and name == "one query":
            continue  # sees one key: below
        ours, theirs = (
            lambda *x, f=f, s=settings: f(*x, **s)
            for f in (
                minidl.scaled_dot_product_attention,
                functional.scaled_dot_product_attention,
            )
        )
        assert_same(ours, theirs, *draw(SHAPES[name], dtype), second=False)


@each_dtype
@pytest.mark.parametrize("settings", [{}, {"is_causal": True}], ids=["one key", "is_causal"])
def test_a_query_that_sees_one_key_gets_its_value(settings, dtype):
    """Gradients of logits are then 0, of which PyTorch has rounding errors."""
    keys = 3 if settings else 1
    leaves = [
        minidl.tensor(x, requires_grad=True)
        for x in draw([(2, 3, 1, 4), (2, 3, keys, 4), (2, 3, keys, 5)], dtype)
    ]
    y = minidl.scaled_dot_product_attention(*leaves, **settings)
    np.testing.assert_array_equal(y, leaves[2].detach()[..., :1, :])
    y.sum().backward()
    for x in leaves[:2]:
        np.testing.assert_allclose(x.grad, 0, atol=1e-6 if dtype == "float32" else 1e-15)
    np.testing.assert_array_equal(leaves[2].grad[..., 0, :], 1)


@each_dtype
@pytest.mark.parametrize("name", MASKS)
def test_masks_are_pytorchs(name, dtype):
    shape = 2, 3, 5, 6
    mask = MASKS[name](np.random.default_rng(0), *shape)
    if mask is not None and mask.dtype != bool:
        mask = mask.astype(dtype)
    masks = (None, None) if mask is None else (minidl.asarray(mask), torch.from_numpy(mask))
    ours = lambda *x: minidl.scaled_dot_product_attention(*x, attn_mask=masks[0])
    theirs = lambda *x: functional.scaled_dot_product_attention(*x, attn_mask=masks[1])
    assert_same(
        ours, theirs, *draw([(2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 4)], dtype), second=False
    )


@pytest.mark.parametrize("heads", [(6, 3), (6, 1), (4, 4), (4, 2)])
@pytest.mark.parametrize("masked", [False, True])
def test_grouped_queries_are_pytorchs(heads, masked):
    many, few = heads
    arrays = draw([(2, many, 5, 4), (2, few, 6, 4), (2, few, 6, 3)])
    mask = np.random.default_rng(0).random((2, many, 5, 6)) < 0.7
    masks = [f(mask) if masked else None for f in (minidl.asarray, torch.from_numpy)]
    ours = lambda *x: minidl.scaled_dot_product_attention(*x, masks[0], enable_gqa=True)
    theirs = lambda *x: functional.scaled_dot_product_attention(*x, masks[1], enable_gqa=True)
    assert_same(ours, theirs, *arrays, second=False)


def test_keys_and_masks_broadcast_as_pytorchs():
    """A batch that has one key or one mask for all."""
    for shapes in (
        [(2, 3, 5, 4), (1, 3, 6, 4), (1, 3, 6, 4)],
        [(2, 3, 5, 4), (6, 4), (6, 4)],
        [(5, 4), (2, 3, 6, 4), (2, 3, 6, 4)],
        [(2, 3, 5, 4), (2, 1, 6, 4), (2, 1, 6, 4)],
    ):
        query, key, value = draw(shapes)
        y = minidl.scaled_dot_product_attention(query, key, value, is_causal=True)
        full = [np.broadcast_to(x, (2, 3, *x.shape[-2:])) for x in (query, key, value)]
        expected = functional.scaled_dot_product_attention(
            *(torch.tensor(x) for x in full), is_causal=True
        )
        np.testing.assert_allclose(y, expected, atol=1e-12)


def test_nothing_to_attend_to_or_from():
    for queries, keys, batch in itertools.product((0, 2), (0, 3), (0, 2)):
        arrays = [
            minidl.ones(s, requires_grad=True)
            for s in ((batch, 2, queries, 4), (batch, 2, keys, 4), (batch, 2, keys, 5))
        ]
        for settings in ({}, {"is_causal": True}, {"attn_mask": minidl.ones((keys,)) > 0}):
            y = minidl.scaled_dot_product_attention(*arrays, **settings)
            assert y.shape == (batch, 2, queries, 5)
            assert bool((y == (1.0 if keys else 0.0)).all())
            y.sum().backward()
    assert minidl.scaled_dot_product_attention(*(minidl.ones((2, 0)),) * 3).shape == (2, 0)


# Masks.

BLIND = np.array([[True, True, False], [False, False, False]])


@each_dtype
@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_a_query_without_keys_gives_zeros_and_zero_gradients(kind, kernels, dtype):
    mask = minidl.asarray(BLIND if kind == "bool" else np.where(BLIND, 0, -np.inf).astype(dtype))
    query, key, value = (
        minidl.tensor(x, requires_grad=True) for x in draw([(4, 2, 5), (4, 3, 5), (4, 3, 5)], dtype)
    )
    with minidl.kernels(kernels):
        y = minidl.scaled_dot_product_attention(query, key, value, mask)
        (y * y).sum().backward()
    assert bool((y[:, 1] == 0).all())
    assert bool((query.grad[:, 1] == 0).all())
    for x in (query, key, value):
        assert bool(minidl.isfinite(x.grad).all())
        assert bool((x.grad[:, 0] != 0).any())


@pytest.mark.parametrize("order", [1, 2])
def test_a_float_mask_gets_its_gradient(order):
    query, key, value = draw([(2, 3, 4), (2, 5, 4), (2, 5, 4)])
    mask = np.where(np.random.default_rng(0).random((3, 5)) < 0.6, random(3, 5), -np.inf)
    mask[1] = -np.inf
    f = lambda m: minidl.scaled_dot_product_attention(query, key, value, m)
    with minidl.higher_order():
        m = minidl.tensor(mask, requires_grad=True)
        y = f(m)
        (first,) = minidl.gradients((y * y).sum(), [m], create_graph=order == 2)
        found = first
        if order == 2:
            (found,) = minidl.gradients((first * first).sum(), [m])
    assert bool((found[mask == -np.inf] == 0).all())
    assert bool((found[0][mask[0] > -np.inf] != 0).all())
    finite = np.maximum(mask, -30.0)  # differs by e⁻³⁰, where there is a key
    assert minidl.testing.gradcheck(lambda m: f(m)[:, [0, 2]], minidl.tensor(finite), order=order)


@each_dtype
@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("how", ["of keys", "of all", "floats", "causal", "grouped"])
def test_unseen_keys_have_no_influence_even_nan(how, kernels, dtype):
    """The last two of five keys are seen by no query: padding with anything changes nothing."""
    rng = np.random.default_rng(0)
    query, key, value = draw([(2, 4, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4)], dtype)
    seen = np.array([True] * 3 + [False] * 2)
    settings = {"enable_gqa": True}
    if how == "causal":
        settings["is_causal"] = True
    elif how == "floats":
        settings["attn_mask"] = np.where(seen, rng.normal(size=(3, 5)), -np.inf).astype(dtype)
    else:
        shape = {"of keys": (5,), "of all": (2, 4, 3, 5), "grouped": (4, 3, 5)}[how]
        settings["attn_mask"] = (rng.random(shape) < 0.8) & seen
    found = []
    for padding in (0.0, np.nan, np.inf):
        key[:, :, 3:], value[:, :, 3:] = padding, padding
        leaves = [minidl.tensor(x, requires_grad=True) for x in (query, key, value)]
        with minidl.kernels(kernels):
            y = minidl.scaled_dot_product_attention(*leaves, **settings)
            (y * y).sum().backward()
        found.append([np.asarray(x) for x in (y.detach(), *(x.grad for x in leaves))])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert np.isfinite(b).all()
            np.testing.assert_allclose(a, b, rtol=1e-5)
    for gradient in found[1][2:]:
        assert (gradient[:, :, 3:] == 0).all()


def test_masks_and_causality_both_hold():
    query, key, value = draw([(2, 4, 3), (2, 4, 3), (2, 4, 3)])
    mask = np.random.default_rng(0).random((2, 4, 4)) < 0.6
    both = minidl.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=True)
    joint = minidl.scaled_dot_product_attention(query, key, value, mask & np.tri(4, dtype=bool))
    np.testing.assert_array_equal(both, joint)


# Dropout.


def test_dropout_is_of_the_weights():
    query, key = draw([(2, 3, 5, 4), (2, 3, 6, 4)])
    value = np.broadcast_to(np.eye(6), (2, 3, 6, 6))  # of which the means are the weights
    weights = attention_weights(query, key)
    dropped = minidl.scaled_dot_product_attention(query, key, value, None, 0.3, dropout_key=(1, 2))
    np.testing.assert_allclose(dropped, minidl.dropout(weights, 0.3, key=(1, 2)), atol=1e-15)
    both = attention_weights(query, key, None, 0.3, dropout_key=(1, 2))
    np.testing.assert_allclose(dropped, both, atol=1e-15)
    all_dropped = minidl.scaled_dot_product_attention(
        query, key, value, dropout_p=1.0, dropout_key=(1, 2)
    )
    assert bool((all_dropped == 0).all())


# Numbers.


@pytest.mark.parametrize("scale", [1.0, 30.0, 3e4, 1e18])
def test_logits_of_any_size_are_finite(scale):
    """The softmax of large logits picks the largest; products that overflow are infinite."""
    arrays = [x * np.float32(scale) for x in draw([(2, 5, 4), (2, 6, 4)], "float32")]
    value = random(2, 6, 3, dtype="float32", seed=2)
    y = minidl.scaled_dot_product_attention(*arrays, value)
    wide = [x.astype("float64") for x in (*arrays, value)]
    np.testing.assert_allclose(y, minidl.scaled_dot_product_attention(*wide), rtol=1e-4, atol=1e-5)


def test_half_precision_computes_in_single():
    arrays = [x.astype("float16") for x in draw(SHAPES["heads"])]
    y = minidl.scaled_dot_product_attention(*arrays)
    assert y.dtype == "float16"
    wide = minidl.scaled_dot_product_attention(*(x.astype("float32") for x in arrays))
    np.testing.assert_array_equal(y, wide.astype("float16"))


@each_dtype
def test_views_and_read_only_arrays(dtype):
    """Heads as a layer makes them: views (N, H, L, d) of (L, N, H·d); nothing is written to."""
    rows = random(5, 2, 24, dtype=dtype)
    rows.flags.writeable = False
    views = [x.reshape(5, 2, 2, 4).transpose(1, 2, 0, 3) for x in np.split(rows, 3, axis=-1)]
    copies = [np.ascontiguousarray(x) for x in views]
    results = []
    for arrays in (views, copies):
        leaves = [minidl.asarray(x).requires_grad_() for x in arrays]
        y = minidl.scaled_dot_product_attention(*leaves, is_causal=True)
        (y * y).sum().backward()
        results.append([y.detach(), *(x.grad for x in leaves)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# Misuse.

Q, K = minidl.ones((2, 4, 3, 8)), minidl.ones((2, 4, 5, 8))
MISUSES = {
    "features": ({"key": minidl.ones((2, 4, 5, 7))}, ShapeError, r"needs query \(…, Hq, L, E\)"),
    "vector": ({"query": minidl.ones(8)}, ShapeError, r"needs query \(…, Hq, L, E\)"),
    "lengths": ({"value": minidl.ones((2, 4, 6, 8))}, ShapeError, r"key \(…, H, S, E\)"),
    "heads": ({"key": K[:, :2], "value": K[:, :2]}, ShapeError, "need enable_gqa=True"),
    "groups": (
        {"key": K[:, :3], "value": K[:, :3], "enable_gqa": True},
        ShapeError,
        "which divide those of query",
    ),
    "values of groups": (
        {"key": K[:, :2], "enable_gqa": True},
        ShapeError,
        "as many heads of value as of key",
    ),
    "batch": ({"key": minidl.ones((3, 4, 5, 8))}, ShapeError, "must be equal or 1"),
    "mask shape": (
        {"attn_mask": minidl.ones((3, 4)) > 0},
        ShapeError,
        r"attn_mask must broadcast to .*\(2, 4, 3, 5\); got \(3, 4\)",
    ),
    "larger mask": (
        {"attn_mask": minidl.ones((7, 2, 4, 3, 5)) > 0},
        ShapeError,
        "attn_mask must broadcast to",
    ),
    "integer mask": (
        {"attn_mask": minidl.ones((3, 5), dtype="int64")},
        DTypeError,
        r"attn_mask has bools, .*got int64 \(3, 5\)",
    ),
    "complex": ({"query": minidl.ones((2, 4, 3, 8), dtype="complex64")}, DTypeError, "real"),
    "probability": ({"dropout_p": 1.5, "dropout_key": (0, 0)}, ArgumentError, "dropout_p is a"),
    "no key": ({"dropout_p": 0.5}, ArgumentError, "needs dropout_key"),
    "flag": ({"is_causal": "yes"}, ArgumentError, "is_causal is True or False"),
    "scale": ({"scale": float("nan")}, ArgumentError, "scale is a"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_explained(name):
    changes, kind, message = MISUSES[name]
    settings = dict(changes)
    arrays = [
        settings.pop(x, default)
        for x, default in zip(("query", "key", "value"), (Q, K, K), strict=True)
    ]
    with pytest.raises(kind, match=message) as caught:
        minidl.scaled_dot_product_attention(*arrays, **settings)
    assert isinstance(caught.value, MinidlError)
    assert str(caught.value).startswith("scaled_dot_product_attention")


@pytest.mark.parametrize("kernels", ["fast", "reference"])
def test_the_result_has_the_dtype_of_the_query(kernels):
    """As PyTorch's: a mask is bools, float32, or as the query; of others it refuses the same."""
    of_torch = functional.scaled_dot_product_attention
    for dtype, of_mask in (("float32", "float64"), ("float32", "float32"), ("float64", "float32")):
        x, mask = np.ones((1, 1, 2, 4), dtype), np.zeros((2, 2), of_mask)
        with minidl.kernels(kernels):
            try:
                expected = of_torch(*[torch.asarray(x)] * 3, torch.asarray(mask)).numpy().dtype
            except RuntimeError:
                with pytest.raises(DTypeError, match=r"attn_mask.*float32.*float64"):
                    minidl.scaled_dot_product_attention(*[minidl.asarray(x)] * 3, mask)
                continue
            y = minidl.scaled_dot_product_attention(*[minidl.asarray(x)] * 3, mask)
        assert y.dtype == expected == dtype


def test_the_weights_may_come_with_the_result():
    query, key, value = (minidl.random.normal((2, 3, 4, 5)) for _ in range(3))
    mask = minidl.random.uniform((4, 4)) < 0.7
    settings = {"attn_mask": mask, "dropout_p": 0.3, "dropout_key": (1, 2)}
    y, weights = attention_with_weights(query, key, value, **settings)
    assert minidl.allclose(
        y, minidl.scaled_dot_product_attention(query, key, value, **settings), atol=1e-6
    )
    assert minidl.allclose(weights, attention_weights(query, key, **settings), atol=1e-6)


@pytest.mark.parametrize("mask_dtype", ["float32", "float16"])
def test_a_mask_does_not_decide_the_dtype(mask_dtype):
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 4, 5)).astype("float16") for _ in range(3))
    mask = rng.normal(size=(4, 4)).astype(mask_dtype)
    bias = minidl.tensor(mask, requires_grad=True)
    y = minidl.scaled_dot_product_attention(*map(minidl.tensor, (q, k, v)), attn_mask=bias)
    tensors = map(torch.tensor, (q, k, v, mask))
    expected = torch.nn.functional.scaled_dot_product_attention(*tensors)
    assert (str(y.dtype), expected.dtype) == ("float16", torch.float16)
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=2e-3, atol=1e-3)
    y.sum(dtype="float32").backward()
    assert bias.grad.dtype == mask_dtype
    wide = minidl.scaled_dot_product_attention(
        *(minidl.tensor(x.astype("float32")) for x in (q, k, v)), attn_mask=bias
    )
    assert wide.dtype == "float32"
