"""Calls of recurrent operations: arrays of any sizes, values and all gradients."""

import numpy as np

import minidl

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
# T, N, in, H, and the size of the projection of an LSTM, or 0.
SIZES = [
    (5, 3, 4, 6, 0),
    (7, 20, 17, 33, 0),
    (3, 9, 5, 40, 13),
    (4, 1, 3, 7, 0),
    (4, 2, 3, 7, 5),
    (1, 1, 64, 128, 0),
    (1, 17, 16, 32, 8),
    (60, 21, 3, 10, 4),
    (3, 4, 1, 1, 0),
    (2, 1100, 3, 5, 0),
    (3, 5, 290, 70, 0),
]


def arrays_of(name, size, biases=True, dtype="float32", seed=0):
    """x, the states, the weights, None for those that are not there; and gradients of outputs."""
    (t, n, inputs, hidden, projected), rng = size, np.random.default_rng(seed)
    projected = projected if name == "lstm" else 0
    out, rows = projected or hidden, GATES[name] * hidden
    normal = lambda *shape: rng.normal(0, 1, shape).astype(dtype)
    weight = lambda *shape: (rng.uniform(-1, 1, shape) / hidden**0.5).astype(dtype)
    states = [normal(n, out)] + ([normal(n, hidden)] if name == "lstm" else [])
    bias = [weight(rows), weight(rows)] if biases else [None, None]
    arrays = [normal(t, n, inputs), *states, weight(rows, inputs), weight(rows, out), *bias]
    if name == "lstm":
        arrays.append(weight(out, hidden) if projected else None)
    return arrays, [normal(t, n, out), *(normal(*state.shape) for state in states)]


def mask_of(size, seed=0):
    """About two thirds of the steps, and one sequence without any, where there are several."""
    mask = np.random.default_rng(seed).random(size[:2]) < 0.65
    if size[1] > 1:
        mask[:, size[1] // 2] = False
    return mask


def tensors_of(arrays):
    """Tensors, which require no gradients; None for None."""
    return [x if x is None else minidl.asarray(x) for x in arrays]


def outcome(name, arrays, dys, mask=None, mode="fast", **settings):
    """The outputs, and the gradients of all arrays that are not None."""
    with minidl.kernels(mode):
        tensors = [a if a is None else minidl.asarray(a, requires_grad=True) for a in arrays]
        outputs = getattr(minidl, name)(
            *tensors, None if mask is None else minidl.asarray(mask), **settings
        )
        found = minidl.gradients(
            list(outputs), [x for x in tensors if x is not None], list(map(minidl.asarray, dys))
        )
    return [np.asarray(x) for x in (*outputs, *found)]


def exact(name, arrays, dys, mask=None, **settings):
    """The same by the composite in float64."""
    wide = lambda xs: [x if x is None else np.asarray(x, "float64") for x in xs]
    return outcome(name, wide(arrays), wide(dys), mask, mode="reference", **settings)


def assert_near(found, needed, tolerance=2e-5):
    """Equal but for rounding, relative to the largest element of each array, which is 1 or more."""
    for one, other in zip(found, needed, strict=True):
        assert one.shape == other.shape
        scale = max(np.abs(other).max(initial=0), 1)
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)
