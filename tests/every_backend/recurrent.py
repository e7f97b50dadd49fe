"""rnn, lstm and gru by the kernels of `device`, against their composites on the CPU in float64."""

import numpy as np
import pytest

import minidl

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
each_name = pytest.mark.parametrize("name", GATES)
SIZE = 6, 11, 5, 9, 4


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


def tensors_of(arrays, device="cpu"):
    """Tensors, which require no gradients; None for None."""
    return [x if x is None else minidl.asarray(x, device=device) for x in arrays]


def outcome(name, arrays, dys, mask=None, mode="fast", device="cpu", **settings):
    """The outputs, and the gradients of all arrays that are not None."""
    with minidl.kernels(mode):
        tensors = tensors_of(arrays, device)
        given = [x.requires_grad_() for x in tensors if x is not None]
        outputs = getattr(minidl, name)(*tensors, *tensors_of([mask], device), **settings)
        found = minidl.gradients(list(outputs), given, tensors_of(dys, device))
    return [x.cpu().numpy() for x in (*outputs, *found)]


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


def assert_right(name, size, masked, reverse, device):
    """Values and gradients of random arrays of a size are those of the composite."""
    settings = {"reverse": reverse}
    if name == "rnn" and masked:
        settings["nonlinearity"] = "relu"
    arrays, dys = arrays_of(name, size)
    mask = mask_of(size) if masked else None
    found = outcome(name, arrays, dys, mask, device=device, **settings)
    assert all(x.dtype == "float32" for x in found)
    assert_near(found, exact(name, arrays, dys, mask, **settings))


@each_name
def test_without_biases(name, device):
    for missing in ([4, 5], [4], [5]):
        arrays, dys = arrays_of(name, SIZE)
        for i in missing:
            arrays[i + (name == "lstm")] = None
        assert_near(outcome(name, arrays, dys, device=device), exact(name, arrays, dys))


@each_name
def test_what_a_mask_leaves_out_has_no_influence(name, device):
    """Neither NaN nor infinity there; its gradient is 0."""
    arrays, dys = arrays_of(name, SIZE)
    mask = mask_of(SIZE)
    clean = outcome(name, arrays, dys, mask, device=device)
    for x in (np.nan, np.inf):
        arrays[0][~mask] = x
        dirty = outcome(name, arrays, dys, mask, device=device)
        for one, same in zip(dirty, clean, strict=True):
            np.testing.assert_array_equal(one, same)
    dx = clean[3 if name == "lstm" else 2]
    assert not clean[0][~mask].any()
    assert not dx[~mask].any()


@each_name
def test_without_any_step_the_state_stays(name, device):
    arrays, dys = arrays_of(name, SIZE)
    found = outcome(name, arrays, dys, np.zeros(SIZE[:2], bool), device=device)
    count = 2 if name == "lstm" else 1
    states, gradients = found[1 : 1 + count], found[2 + count : 2 + 2 * count]
    for given, kept in zip(arrays[1:] + dys[1:], states, strict=False):
        np.testing.assert_array_equal(given, kept)
    for given, passed in zip(dys[1:], gradients, strict=True):
        np.testing.assert_array_equal(given, passed)
    assert not any(x.any() for x in (found[0], found[1 + count], *found[2 + 2 * count :]))


@each_name
@pytest.mark.parametrize("masked", [False, True])
def test_nothing_is_recorded_and_nothing_changes(name, masked, device):
    for size in (SIZE, (4, 1, 3, 7, 0)):
        arrays, dys = arrays_of(name, size)
        mask = mask_of(size) if masked else None
        for reverse in (False, True):
            recorded = outcome(name, arrays, dys, mask, device=device, reverse=reverse)
            with minidl.no_grad():
                tensors = tensors_of([*arrays, mask], device)
                outputs = getattr(minidl, name)(*tensors, reverse=reverse)
            for one, other in zip(outputs, recorded, strict=False):
                np.testing.assert_array_equal(one.cpu().numpy(), other)
