"""Positions: sinusoidal, learned and rotary, beside their formulas in NumPy and PyTorch."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, BoundsError, DTypeError, MinidlError, ShapeError
from tests.oracle import torch
from tests.parity import random

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
ADDED = {
    "sinusoidal": lambda **kw: nn.SinusoidalPositionalEncoding(6, **kw),
    "learned": lambda **kw: nn.LearnedPositionalEmbedding(32, 6, **kw),
}


def sinusoids(length, width):
    """The formula of Vaswani et al. 2017, section 3.5."""
    table = np.empty((length, width))
    for t in range(length):
        for i in range(width):
            angle = t / 10000 ** (i // 2 * 2 / width)
            table[t, i] = np.cos(angle) if i % 2 else np.sin(angle)
    return table


@each_dtype
@pytest.mark.parametrize("width", [1, 5, 6])
def test_sinusoids_are_those_of_the_paper(width, dtype):
    layer = nn.SinusoidalPositionalEncoding(width)
    table = sinusoids(40, width)
    for offset, length in ((0, 3), (0, 0), (5, 7), (0, 40), (39, 1)):  # the table grows
        y = layer(minidl.zeros((length, width), dtype=dtype), offset=offset)
        assert y.dtype == dtype
        tolerance = 1e-7 if dtype == "float32" else 1e-13
        np.testing.assert_allclose(y, table[offset : offset + length], rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", ADDED)
def test_positions_are_added_along_the_sequence(kind):
    for batch_first in (False, True):
        layer = ADDED[kind](batch_first=batch_first)
        table = layer(minidl.zeros((5, 6))).detach()
        x = random(2, 5, 6, dtype="float32")
        expected = x + np.asarray(table)
        y = layer(minidl.asarray(x if batch_first else x.transpose(1, 0, 2)))
        np.testing.assert_allclose(
            y.detach() if batch_first else y.detach().permute_dims((1, 0, 2)), expected, atol=1e-7
        )
        steps = [layer(minidl.zeros((1, 6)), offset=t).detach() for t in range(5)]
        np.testing.assert_array_equal(minidl.concat(steps), table)


def test_learned_positions_are_rows_that_get_gradients():
    minidl.manual_seed(0)
    layer = nn.LearnedPositionalEmbedding(500, 64, batch_first=True)
    assert float(layer.weight.std()) == pytest.approx(0.02, rel=0.05)
    x = minidl.tensor(random(3, 4, 64, dtype="float32"), requires_grad=True)
    y = layer(x, offset=2)
    dy = minidl.asarray(random(3, 4, 64, dtype="float32", seed=1))
    (y * dy).sum().backward()
    np.testing.assert_array_equal(x.grad, dy)
    np.testing.assert_allclose(layer.weight.grad[2:6], dy.sum(axis=0), rtol=1e-5)
    assert bool((layer.weight.grad[6:] == 0).all())
    assert list(layer.state_dict()) == ["weight"]
    with pytest.raises(BoundsError, match=r"has 500 positions; got positions 498 to 501.*=502"):
        layer(x, offset=498)


def test_dropout_of_the_sum():
    layer = nn.SinusoidalPositionalEncoding(64, dropout=0.5)
    x = minidl.ones((100, 64)) * 3
    dropped = np.asarray(layer(x))
    whole = np.asarray(layer.eval()(x))
    assert 0.4 < (dropped == 0).mean() < 0.6
    np.testing.assert_allclose(dropped[dropped != 0], 2 * whole[dropped != 0], rtol=1e-6)


# Rotary.


def rotated(x, positions, dim, theta, interleaved):
    """Products of pairs, as complex numbers, with e^(i·t·θ), in PyTorch's float64."""
    x = torch.tensor(np.asarray(x)).double()
    angles = np.asarray(positions)[..., None] * theta ** (-np.arange(0, dim, 2) / dim)
    if angles.ndim == 3:
        angles = angles[:, None]
    turn = torch.polar(torch.ones(angles.shape, dtype=torch.float64), torch.tensor(angles))
    pairs = x[..., :dim].unflatten(-1, (-1, 2) if interleaved else (2, -1))
    pairs = pairs if interleaved else pairs.mT
    turned = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * turn)
    turned = (turned if interleaved else turned.mT).flatten(-2)
    return torch.cat([turned, x[..., dim:]], -1)


@each_dtype
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize(("dim", "theta"), [(8, 10000.0), (4, 500000.0), (2, 7.0)])
def test_rotations_are_products_of_complex_numbers(dim, theta, interleaved, dtype):
    layer = nn.RotaryEmbedding(dim, theta, interleaved)
    query, key = (minidl.asarray(random(2, 3, 5, 8, dtype=dtype, seed=i)) for i in (0, 1))
    tolerance = 1e-6 if dtype == "float32" else 1e-12
    settings = dim, theta, interleaved
    for offset in (0, 3, 1000):
        for y, x in zip(layer(query, key, offset=offset), (query, key), strict=True):
            expected = rotated(x, np.arange(offset, offset + 5), *settings)
            assert y.dtype == dtype
            np.testing.assert_allclose(y, expected, atol=tolerance)
    for positions in (np.array([7, 1, 0, 2, 2]), np.array([[0, 1, 2, 3, 4], [5, 0, 0, 9, 9]])):
        y = layer(query, positions=minidl.asarray(positions))
        np.testing.assert_allclose(y, rotated(query, positions, *settings), atol=tolerance)


def test_rotary_layouts_are_those_of_llama_and_of_gpt_j():
    """As the models write them: rotate_half, and rotate_every_two."""
    x = random(1, 2, 5, 8)
    angles = np.arange(5)[:, None] * 10000 ** (-np.arange(0, 8, 2) / 8)
    halves = np.concatenate([angles, angles], axis=-1)
    rotate_half = np.concatenate([-x[..., 4:], x[..., :4]], axis=-1)
    llama = x * np.cos(halves) + rotate_half * np.sin(halves)
    np.testing.assert_allclose(nn.RotaryEmbedding(8)(x), llama, atol=1e-12)
    twice = np.repeat(angles, 2, axis=-1)
    every_two = np.stack([-x[..., 1::2], x[..., ::2]], axis=-1).reshape(x.shape)
    gpt_j = x * np.cos(twice) + every_two * np.sin(twice)
    np.testing.assert_allclose(nn.RotaryEmbedding(8, interleaved=True)(x), gpt_j, atol=1e-12)


@pytest.mark.parametrize("interleaved", [False, True])
def test_products_depend_on_the_distance_alone(interleaved):
    layer = nn.RotaryEmbedding(8, interleaved=interleaved)
    query, key = (minidl.asarray(random(1, 8, seed=i)) for i in (0, 1))
    products = [
        (layer(query, offset=t + 3) * layer(key, offset=t)).sum().item() for t in (0, 10, 100_000)
    ]
    np.testing.assert_allclose(products, products[0], rtol=1e-9)


def test_far_positions_do_not_need_those_before():
    """A table of all would need 100 MB here; rows on both sides of where it ends are the same."""
    layers = nn.RotaryEmbedding(4), nn.SinusoidalPositionalEncoding(4)
    x, one = minidl.ones((5, 4), dtype="float64"), minidl.ones((1, 4), dtype="float64")
    tracemalloc.start()
    try:
        for layer in layers:
            layer(x, offset=3_000_000)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
    for layer in layers:
        for first in (2**15 - 5, 2**15 - 2, 2**15):
            y = layer(x, offset=first)
            for t in range(5):
                np.testing.assert_array_equal(y[t], layer(one, offset=first + t)[0])


def test_large_positions_keep_their_digits():
    """Angles in float32 would be wrong by 1e-2 at a million."""
    x = minidl.ones((1, 4))
    y = nn.RotaryEmbedding(4)(x, offset=1_000_003)
    np.testing.assert_allclose(y, rotated(x, [1_000_003], 4, 10000.0, False), atol=1e-6)


def test_a_decoder_of_ones_own_with_grouped_queries_and_a_cache():
    """What Llama's attention is made of: rotary positions, fewer keys, a cache."""

    class Attention(nn.Module):
        def __init__(self):
            self.q, self.kv = (nn.Linear(16, 16, bias=False) for _ in range(2))
            self.rotary = nn.RotaryEmbedding(4)

        def forward(self, x, cache=None):
            n, length, _ = x.shape
            q = self.q(x).reshape((n, length, 4, 4)).permute_dims((0, 2, 1, 3))
            kv = self.kv(x).reshape((n, length, 2, 2, 4)).permute_dims((2, 0, 3, 1, 4))
            offset = 0 if cache is None else cache.of(self).length
            q, k = self.rotary(q, kv[0], offset=offset)
            v = kv[1]
            if cache is not None:
                k, v = cache.of(self).append(k, v)
            y = minidl.scaled_dot_product_attention(
                q, k, v, is_causal=cache is None, enable_gqa=True
            )
            return y.permute_dims((0, 2, 1, 3)).reshape((n, length, 16))

    layer, cache = Attention().double(), nn.KeyValueCache()
    x = minidl.asarray(random(2, 9, 16))
    with minidl.no_grad():
        steps = [layer(x[:, t : t + 1], cache) for t in range(9)]
    np.testing.assert_allclose(minidl.concat(steps, axis=1), layer(x).detach(), atol=1e-12)


def test_layers_with_tables_are_copied_saved_and_moved():
    layer = nn.SinusoidalPositionalEncoding(6)
    y = layer(minidl.zeros((4, 6)))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), layer.double()):
        np.testing.assert_array_equal(other(minidl.zeros((4, 6))), y)
    assert layer(minidl.zeros((4, 6), dtype="float16")).dtype == "float16"
    assert not layer.state_dict()


X = minidl.ones((2, 3, 5, 8))
MISUSES = {
    "width": (lambda: ADDED["learned"]()(minidl.ones((3, 5))), ShapeError, r"\(L, N, 6\), or"),
    "vector": (lambda: ADDED["sinusoidal"]()(minidl.ones(6)), ShapeError, r"\(L, N, 6\), or"),
    "offset": (
        lambda: ADDED["sinusoidal"]()(minidl.ones((3, 6)), offset=-1),
        ArgumentError,
        "offset is an integer ≥ 0",
    ),
    "odd": (lambda: nn.RotaryEmbedding(5), ArgumentError, "dim is even"),
    "theta": (lambda: nn.RotaryEmbedding(4, theta=0.0), ArgumentError, "theta is a number above 0"),
    "features": (lambda: nn.RotaryEmbedding(10)(X), ShapeError, r"\(…, L, at least 10\)"),
    "key": (lambda: nn.RotaryEmbedding(4)(X, X[:, :, :4]), ShapeError, "at the same positions"),
    "floats": (
        lambda: nn.RotaryEmbedding(4)(X, positions=minidl.ones(5)),
        DTypeError,
        "positions are integers",
    ),
    "positions": (
        lambda: nn.RotaryEmbedding(4)(X, positions=minidl.arange(4)),
        ShapeError,
        r"positions are \(L,\), or \(N, L\)",
    ),
    "learned": (lambda: nn.LearnedPositionalEmbedding(0, 4), ArgumentError, "max_len is an"),
    "operation": (
        lambda: minidl.rotary_embedding(X, minidl.ones((5, 5)), minidl.ones((5, 5))),
        ShapeError,
        "needs cos and sin of one shape",
    ),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_explained(name):
    misuse, kind, message = MISUSES[name]
    with pytest.raises(kind, match=message) as caught:
        misuse()
    assert isinstance(caught.value, MinidlError)
