"""A single step of an LSTM, of which nothing is recorded, has a way of its own."""

import itertools

import numpy as np
import pytest

import minidl
from minidl.backends.kernels.recurrent import lstm_step
from minidl.backends.kernels.recurrent.panels import dot_both, dot_rows
from minidl.backends.kernels.runtime.kernel import compiled
from minidl.backends.kernels.simd.intrinsics import LANES
from tests.every_backend.recurrent import arrays_of, assert_near, tensors_of

SIZES = [(64, 128), (1, 1), (7, 5), (17, 33), (5, 40), (40, 5), (8, 8), (16, 4)]


def stepped(arrays, **settings):
    """The outputs of the kernel, as nothing is recorded."""
    with minidl.no_grad():
        return [y.numpy() for y in minidl.lstm(*tensors_of(arrays), **settings)]


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize(("inputs", "hidden"), SIZES)
def test_a_step_by_itself_is_that_of_a_sequence(inputs, hidden, rows, monkeypatch):
    calls = []
    original = lstm_step._step
    monkeypatch.setattr(lstm_step, "_step", lambda *given: (calls.append(1), original(*given)))
    for biases in itertools.product([True, False], repeat=2):
        arrays, _ = arrays_of("lstm", (1, rows, inputs, hidden, 0))
        arrays[5:7] = [b if there else None for b, there in zip(arrays[5:7], biases, strict=True)]
        found = stepped(arrays)
        assert len(calls) == (rows <= 2)
        calls.clear()
        recorded = minidl.lstm(
            *[a if a is None else minidl.asarray(a, requires_grad=True) for a in arrays]
        )
        for one, other in zip(found, recorded, strict=True):
            np.testing.assert_array_equal(one, other.numpy(), strict=True)
        with minidl.kernels("reference"):
            wide = [a if a is None else a.astype("f8") for a in arrays]
            assert_near(found, stepped(wide))


def test_its_outputs_are_arrays_of_their_own():
    arrays, _ = arrays_of("lstm", (1, 1, 4, 6, 0))
    before = [None if a is None else a.copy() for a in arrays]
    outputs = stepped(arrays)
    for one, other in itertools.combinations([*outputs, *arrays[:-1]], 2):
        assert not np.shares_memory(one, other)
    for now, then in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_any_layout_direction_and_layer_axis():
    arrays, _ = arrays_of("lstm", (1, 2, 9, 20, 0))
    needed = stepped(arrays)
    turned = [a if a is None else np.asfortranarray(a) for a in arrays]
    views = [a if a is None else np.repeat(a, 2, axis=-1)[..., ::2] for a in arrays]
    for given in (turned, views):
        for found, expected in zip(stepped(given, reverse=True), needed, strict=True):
            np.testing.assert_array_equal(found, expected)
    of_layer = [arrays[0], *[s[None] for s in arrays[1:3]], *arrays[3:]]
    y, *states = stepped(of_layer)
    np.testing.assert_array_equal(y, needed[0])
    for found, expected in zip(states, needed[1:], strict=True):
        np.testing.assert_array_equal(found, expected[None])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_comes_through(value):
    arrays, _ = arrays_of("lstm", (1, 1, 4, 6, 0))
    arrays[0][0, 0, 1] = value
    found = stepped(arrays)
    with minidl.kernels("reference"), np.errstate(all="ignore"):
        needed = stepped([a if a is None else a.astype("f8") for a in arrays])
    for one, other in zip(found, needed, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@compiled("f32[m,k] f32[k] f32[m,l] f32[l] f32[m] f32[m]")
def _products(a, x, b, y, one, both):
    dot_rows(a, x, one)
    dot_both(a, x, b, y, both)


@pytest.mark.parametrize("rows", [1, 3, LANES - 1, LANES, LANES + 5, 4 * LANES])
def test_products_with_a_single_row(rows):
    rng = np.random.default_rng(rows)
    for k, m in itertools.product([1, 7, 8, 9, LANES, 2 * LANES + 3], repeat=2):
        a, b = rng.standard_normal((rows, k), "f4"), rng.standard_normal((rows, m), "f4")
        x, y = rng.standard_normal(k, "f4"), rng.standard_normal(m, "f4")
        one, both = np.full(rows + 1, 5, "f4"), np.full(rows + 1, 5, "f4")
        _products(a, x, b, y, one[:rows], both[:rows])
        np.testing.assert_allclose(one[:rows], a.astype("f8") @ x, atol=1e-5)
        np.testing.assert_allclose(both[:rows], a.astype("f8") @ x + b.astype("f8") @ y, atol=1e-5)
        assert one[rows] == both[rows] == 5
