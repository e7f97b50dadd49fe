"""The kernels of sums and products against their bodies."""

import numpy as np
import pytest

import minidl
from minidl.backends import cpu
from minidl.backends.kernels import arithmetic

SIZE = cpu._FEWEST["multiply"] + 7
rng = np.random.default_rng(0)


def computed(name, arrays, dz, kernels):
    """The value and both gradients."""
    with minidl.kernels(kernels):
        xs = [minidl.asarray(x, requires_grad=True) for x in arrays]
        z = getattr(minidl, name)(*xs)
        return [z.numpy(), *(g.numpy() for g in minidl.gradients(z, xs, [minidl.asarray(dz)]))]


def gradient(kind):
    """One number everywhere, or another one for each element, zeros among them."""
    if kind == "mixed":
        return np.where(rng.random(SIZE) < 0.3, 0, rng.normal(size=SIZE)).astype(np.float32)
    return np.broadcast_to(np.float32(kind), (SIZE,))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("kind", ["mixed", 0.0, 2.5, np.nan])
@pytest.mark.parametrize("name", ["add", "multiply"])
def test_bits_of_the_bodies(name, kind, threads, monkeypatch):
    monkeypatch.setattr(minidl.backends.threads, "_threads", threads)
    x, y = rng.normal(size=(2, SIZE)).astype(np.float32)
    x[:5] = np.inf, -np.inf, np.nan, 0, 1e-45
    for arrays in ((x, y), (x[::-1], y), (x, x)):
        dz = gradient(kind)
        fast, slow = (computed(name, arrays, dz, kernels) for kernels in ("fast", "reference"))
        for one, other in zip(fast, slow, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("function", [arithmetic.add, arithmetic.multiply])
def test_other_arrays_are_left_to_the_bodies(function):
    x = np.ones((2, 3), np.float32)
    assert function(x, x[:1]) is NotImplemented
    assert function(x, 2.0) is NotImplemented
    assert function(x.astype("f8"), x.astype("f8")) is NotImplemented
    assert cpu.kernel(function.__name__)(x, x) is NotImplemented
