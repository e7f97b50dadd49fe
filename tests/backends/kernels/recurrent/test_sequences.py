"""The kernels of rnn, lstm and gru against their composites ("reference"), over whole sequences."""

import numpy as np
import pytest

import minidl
from minidl.backends import cpu, threads
from minidl.backends.kernels.recurrent import panels
from minidl.errors import GradientError, ShapeError
from tests.every_backend.recurrent import *  # noqa: F403
from tests.every_backend.recurrent import (
    SIZE,
    arrays_of,
    assert_near,
    assert_right,
    each_name,
    exact,
    mask_of,
    outcome,
    tensors_of,
)

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


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@each_name
def test_kernels_compute_what_the_composites_compute(name, reverse, masked, size, device):
    assert_right(name, size, masked, reverse, device)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_nonlinearities(nonlinearity):
    arrays, dys = arrays_of("rnn", SIZE)
    settings = {"nonlinearity": nonlinearity}
    assert_near(outcome("rnn", arrays, dys, **settings), exact("rnn", arrays, dys, **settings))


@each_name
def test_kernels_run(name, monkeypatch):
    """What these tests compare with the composites is not the composites."""
    calls, kernel = [], cpu.kernel(name)
    watched = lambda *xs, **ss: calls.append(kernel(*xs, **ss)) or calls[-1]
    monkeypatch.setattr(cpu, "kernel", lambda own: watched if own == name else None)
    outcome(name, *arrays_of(name, SIZE))
    assert len(calls) == 1
    assert calls[0] is not NotImplemented


# Which gradients, and how often.


@each_name
@pytest.mark.parametrize("size", [SIZE, (3, 1, 4, 6, 0)])
def test_each_gradient_alone(name, size):
    """The others are not needed, and x may be data."""
    arrays, dys = arrays_of(name, size)
    together = outcome(name, arrays, dys)[len(dys) :]
    given = [i for i, x in enumerate(arrays) if x is not None]
    for i, expected in zip(given, together, strict=True):
        tensors = tensors_of(arrays)
        tensors[i].requires_grad_()
        outputs = getattr(minidl, name)(*tensors)
        (alone,) = minidl.gradients(list(outputs), [tensors[i]], list(map(minidl.asarray, dys)))
        np.testing.assert_allclose(alone.numpy(), expected, rtol=2e-5, atol=2e-5)


@each_name
def test_a_pullback_may_be_called_twice(name):
    arrays, dys = arrays_of(name, SIZE)
    tensors = [minidl.asarray(x, requires_grad=True) for x in arrays if x is not None]
    outputs = getattr(minidl, name)(*tensors)
    dys = list(map(minidl.asarray, dys))
    first = minidl.gradients(list(outputs), tensors, dys, retain_graph=True)
    again = minidl.gradients(list(outputs), tensors, dys)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@each_name
def test_each_output_alone(name):
    arrays, dys = arrays_of(name, SIZE)
    for i in range(len(dys)):
        only = [dy if k == i else np.zeros_like(dy) for k, dy in enumerate(dys)]
        tensors = [minidl.asarray(x, requires_grad=True) for x in arrays if x is not None]
        outputs = getattr(minidl, name)(*tensors)
        found = minidl.gradients(outputs[i], tensors, [minidl.asarray(dys[i])])
        for one, other in zip(found, outcome(name, arrays, only)[len(dys) :], strict=True):
            np.testing.assert_array_equal(one.numpy(), other)


@each_name
def test_a_write_to_what_was_saved_is_refused(name):
    for which in ("x", "y"):
        arrays, _ = arrays_of(name, SIZE)
        tensors = [minidl.asarray(x, requires_grad=True) for x in arrays if x is not None]
        y = getattr(minidl, name)(*tensors)[0]
        total = minidl.sum(y * 2)
        with minidl.no_grad():
            (tensors[0] if which == "x" else y)[...] = 1.0
        with pytest.raises(GradientError, match="written in place"):
            total.backward()


# Memory and threads.


@each_name
@pytest.mark.parametrize("layout", ["transposed", "backwards", "read-only", "broadcast"])
def test_layouts(name, layout):
    arrays, dys = arrays_of(name, SIZE)
    for mask in (None, mask_of(SIZE)):
        laid = [x if x is None else _laid_out(x, layout) for x in arrays]
        found = outcome(name, laid, [_laid_out(dy, layout) for dy in dys], mask)
        plain = [x if x is None else np.array(x, order="C") for x in laid]
        same = outcome(name, plain, [np.array(_laid_out(dy, layout)) for dy in dys], mask)
        for one, other in zip(found, same, strict=True):
            np.testing.assert_array_equal(one, other)


def _laid_out(x, layout):
    if layout == "transposed":
        return np.ascontiguousarray(x.T).T
    if layout == "backwards":
        return np.ascontiguousarray(x[::-1])[::-1]
    if layout == "broadcast":
        return np.broadcast_to(x[:1], x.shape)
    x = x.copy()
    x.flags.writeable = False
    return x


@each_name
@pytest.mark.parametrize("masked", [False, True])
def test_any_number_of_threads_gives_the_same_bits(name, masked, monkeypatch):
    size = 9, 70, 20, 33, 17
    arrays, dys = arrays_of(name, size)
    mask = mask_of(size) if masked else None
    results = []
    for chunks in (1, 2, 3, 5):
        monkeypatch.setattr(threads, "chunks", lambda nanoseconds, n=chunks: n)
        results.append(outcome(name, arrays, dys, mask))
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


@each_name
def test_few_rows_are_multiplied_as_they_are(name, monkeypatch):
    """With the same results as in panels."""
    arrays, dys = arrays_of(name, (30, 2, 20, 40, 7))
    few = outcome(name, arrays, dys)
    monkeypatch.setattr(panels, "FEW", 0)
    assert_near(outcome(name, arrays, dys), few)


# What is left to the composites.


@each_name
@pytest.mark.parametrize("size", [(0, 3, 4, 5, 0), (2, 0, 4, 5, 0)])
def test_nothing_to_do(name, size):
    arrays, _ = arrays_of(name, size)
    y, *states = getattr(minidl, name)(*tensors_of(arrays))
    assert y.shape == (*size[:2], 5)
    for state, given in zip(states, arrays[1:], strict=False):
        np.testing.assert_array_equal(state.numpy(), given)


@each_name
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_dtypes_are_left_to_the_composites(name, dtype):
    arrays, dys = arrays_of(name, SIZE, dtype=dtype)
    found = outcome(name, arrays, dys)
    assert all(x.dtype == dtype for x in found)
    assert_near(found, exact(name, arrays, dys), 2e-2 if dtype == "float16" else 1e-12)


@each_name
def test_shapes_that_do_not_fit_are_refused_as_by_the_composites(name):
    arrays, _ = arrays_of(name, SIZE)
    for i, given in enumerate(arrays):
        if given is None:
            continue
        wrong = list(arrays)
        wrong[i] = np.concatenate([given, given], axis=-1)
        with pytest.raises(ShapeError):
            getattr(minidl, name)(*tensors_of(wrong))
    with pytest.raises(ShapeError):
        getattr(minidl, name)(*tensors_of(arrays), minidl.asarray(np.ones((3, 3), bool)))
    with pytest.raises(minidl.errors.MinidlError):
        getattr(minidl, name)(*tensors_of(arrays), reverse=1)
