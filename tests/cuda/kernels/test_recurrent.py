"""RNN, LSTM and GRU on the GPU against the composites on the CPU in float64."""

import cupy
import numpy as np
import pytest

import minidl
from tests.backends.kernels.recurrent.support import GATES, arrays_of, assert_near, exact, mask_of

each_name = pytest.mark.parametrize("name", GATES)
SIZE = 6, 11, 5, 9, 4  # T, N, in, H, and the size of an LSTM's projection, or 0
SIZES = [
    SIZE,
    (7, 20, 17, 33, 0),
    (4, 1, 3, 7, 0),
    (4, 2, 3, 7, 5),
    (1, 17, 16, 32, 8),
    (40, 21, 3, 10, 4),
    (3, 4, 1, 1, 0),
    (2, 300, 3, 5, 0),
    (3, 5, 290, 70, 0),
]


def on_gpu(x, **settings):
    return None if x is None else minidl.asarray(x, device="cuda", **settings)


def outcome(name, arrays, dys, mask=None, **settings):
    """The outputs, and the gradients of all arrays that are not None."""
    tensors = [on_gpu(a, requires_grad=True) for a in arrays]
    outputs = getattr(minidl, name)(*tensors, on_gpu(mask), **settings)
    given = [x for x in tensors if x is not None]
    found = minidl.gradients(list(outputs), given, list(map(on_gpu, dys)))
    return [x.cpu().numpy() for x in (*outputs, *found)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@each_name
def test_values_and_gradients(name, reverse, masked, size, launches):
    settings = {"reverse": reverse}
    if name == "rnn" and masked:
        settings["nonlinearity"] = "relu"
    arrays, dys = arrays_of(name, size)
    mask = mask_of(size) if masked else None
    found = outcome(name, arrays, dys, mask, **settings)
    assert all(x.dtype == "float32" for x in found)
    assert_near(found, exact(name, arrays, dys, mask, **settings))
    for way in ("forward", "backward"):  # one for each step
        assert launches[f"{name}_{way}_f32"] == size[0]


@each_name
def test_the_error_is_that_of_the_cpu(name):
    """No further from float64 than twice the CPU's kernels, in the norm of each result."""
    size = (24, 32, 40, 48, 0)
    arrays, dys = arrays_of(name, size)
    right = exact(name, arrays, dys)
    tensors = [None if a is None else minidl.asarray(a, requires_grad=True) for a in arrays]
    outputs = getattr(minidl, name)(*tensors)
    given = [x for x in tensors if x is not None]
    of_cpu = (*outputs, *minidl.gradients(list(outputs), given, list(map(minidl.asarray, dys))))
    for own, cpu, exactly in zip(outcome(name, arrays, dys), of_cpu, right, strict=True):
        norm = lambda x, exactly=exactly: np.linalg.norm(x - exactly)
        assert norm(own) <= 2 * norm(cpu.numpy())


@each_name
def test_without_biases(name):
    for missing in ([4, 5], [4], [5]):
        arrays, dys = arrays_of(name, SIZE)
        for i in missing:
            arrays[i + (name == "lstm")] = None
        assert_near(outcome(name, arrays, dys), exact(name, arrays, dys))


@each_name
def test_cells(name, launches):
    (x, *rest), (_, *dys) = arrays_of(name, (1, 13, 5, 9, 0))
    for single in (False, True):
        arrays = [x[0], *rest]
        if single:
            count = len(dys)
            arrays[: 1 + count] = [a[0] for a in arrays[: 1 + count]]
        own = [dy[0] for dy in dys] if single else dys

        def results(device, dtype, arrays=arrays, own=own):
            move = lambda a: minidl.asarray(a, dtype=dtype, device=device)
            tensors = [None if a is None else move(a).requires_grad_() for a in arrays]
            outputs = getattr(minidl, f"{name}_cell")(*tensors)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            given = [t for t in tensors if t is not None]
            found = minidl.gradients(list(outputs), given, [move(dy) for dy in own])
            return [t.cpu().numpy() for t in (*outputs, *found)]

        assert_near(results("cuda", "float32"), results("cpu", "float64"), 2e-6)
    assert launches[f"{name}_backward_f32"] == 2


@each_name
def test_what_a_mask_leaves_out_has_no_influence(name):
    """Neither NaN nor infinity there; its gradient is 0."""
    arrays, dys = arrays_of(name, SIZE)
    mask = mask_of(SIZE)
    clean = outcome(name, arrays, dys, mask)
    for x in (np.nan, np.inf):
        arrays[0][~mask] = x
        for dirty, same in zip(outcome(name, arrays, dys, mask), clean, strict=True):
            np.testing.assert_array_equal(dirty, same)
    dx = clean[3 if name == "lstm" else 2]
    assert not clean[0][~mask].any()
    assert not dx[~mask].any()


@each_name
def test_without_any_step_the_state_stays(name):
    arrays, dys = arrays_of(name, SIZE)
    found = outcome(name, arrays, dys, np.zeros(SIZE[:2], bool))
    count = 2 if name == "lstm" else 1
    states, gradients = found[1 : 1 + count], found[2 + count : 2 + 2 * count]
    for given, kept in zip(arrays[1:] + dys[1:], states, strict=False):
        np.testing.assert_array_equal(given, kept)
    for given, passed in zip(dys[1:], gradients, strict=True):
        np.testing.assert_array_equal(given, passed)
    assert not any(x.any() for x in (found[0], found[1 + count], *found[2 + 2 * count :]))


@each_name
@pytest.mark.parametrize("masked", [False, True])
def test_nothing_is_recorded_and_nothing_changes(name, masked):
    arrays, dys = arrays_of(name, SIZE)
    mask = mask_of(SIZE) if masked else None
    for reverse in (False, True):
        recorded = outcome(name, arrays, dys, mask, reverse=reverse)
        with minidl.no_grad():
            tensors = [on_gpu(x) for x in arrays]
            outputs = getattr(minidl, name)(*tensors, on_gpu(mask), reverse=reverse)
        for one, other in zip(outputs, recorded, strict=False):
            np.testing.assert_array_equal(one.cpu().numpy(), other)


@each_name
def test_each_gradient_alone_and_twice(name):
    arrays, dys = arrays_of(name, SIZE)
    together = outcome(name, arrays, dys)[len(dys) :]
    given = [i for i, x in enumerate(arrays) if x is not None]
    for i, expected in zip(given, together, strict=True):
        tensors = [on_gpu(x) for x in arrays]
        tensors[i].requires_grad_()
        outputs = list(getattr(minidl, name)(*tensors))
        for retain in (True, False):
            own = list(map(on_gpu, dys))
            (alone,) = minidl.gradients(outputs, [tensors[i]], own, retain_graph=retain)
            np.testing.assert_array_equal(alone.cpu().numpy(), expected)


@each_name
def test_inputs_of_any_layout(name):
    arrays, dys = arrays_of(name, SIZE)
    expected = outcome(name, arrays, dys)
    ways = [
        lambda x: x.swapaxes(0, -1).copy().swapaxes(0, -1),
        lambda x: x[::-1].copy()[::-1],
        lambda x: cupy.stack([x, x], axis=-1)[..., 0],
    ]
    for way in ways:
        view = lambda x, way=way: None if x is None else minidl.Tensor(way(on_gpu(x).data))
        tensors = [view(x) for x in arrays]
        given = [x.requires_grad_() for x in tensors if x is not None]
        outputs = getattr(minidl, name)(*tensors)
        found = minidl.gradients(list(outputs), given, list(map(view, dys)))
        for one, other in zip((*outputs, *found), expected, strict=True):
            np.testing.assert_allclose(one.cpu().numpy(), other, rtol=0, atol=2e-6)


@each_name
def test_no_waiting_and_no_upload(name, counters):
    arrays, dys = arrays_of(name, SIZE)
    tensors = [on_gpu(a, requires_grad=True) for a in arrays]
    mask, own = on_gpu(mask_of(SIZE)), list(map(on_gpu, dys))
    counters.reset()
    outputs = getattr(minidl, name)(*tensors, mask)
    minidl.gradients(list(outputs), [x for x in tensors if x is not None], own)
    assert (counters.h2d, counters.d2h, counters.sync) == (0, 0, 0)


@each_name
def test_float16_computes_in_float32(name, launches):
    arrays, dys = arrays_of(name, SIZE)
    halves = [None if x is None else x.astype(np.float16) for x in arrays]
    found = outcome(name, halves, [dy.astype(np.float16) for dy in dys])
    assert launches[f"{name}_backward_f32"] == SIZE[0]
    assert all(x.dtype == "float16" for x in found)
    wide = [None if x is None else x.astype(np.float32) for x in halves]
    right = outcome(name, wide, [dy.astype(np.float16).astype(np.float32) for dy in dys])
    assert_near([x.astype(np.float32) for x in found], right, 2e-3)
