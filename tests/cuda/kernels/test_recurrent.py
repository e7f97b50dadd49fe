"""RNN, LSTM and GRU on the GPU against the composites on the CPU in float64."""

import cupy
import numpy as np
import pytest

import minidl
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


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@each_name
def test_values_and_gradients(name, reverse, masked, size, launches, device):
    assert_right(name, size, masked, reverse, device)
    for way in ("forward", "backward"):  # one for each step
        assert launches[f"{name}_{way}_f32"] == size[0]


@each_name
def test_the_error_is_that_of_the_cpu(name):
    """No further from float64 than twice the CPU's kernels, in the norm of each result."""
    size = (24, 32, 40, 48, 0)
    arrays, dys = arrays_of(name, size)
    right = exact(name, arrays, dys)
    of_gpu, of_cpu = (outcome(name, arrays, dys, device=d) for d in ("cuda", "cpu"))
    for own, cpu, exactly in zip(of_gpu, of_cpu, right, strict=True):
        assert np.linalg.norm(own - exactly) <= 2 * np.linalg.norm(cpu - exactly)


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
def test_each_gradient_alone_and_twice(name):
    arrays, dys = arrays_of(name, SIZE)
    together = outcome(name, arrays, dys, device="cuda")[len(dys) :]
    given = [i for i, x in enumerate(arrays) if x is not None]
    for i, expected in zip(given, together, strict=True):
        tensors = tensors_of(arrays, "cuda")
        tensors[i].requires_grad_()
        outputs = list(getattr(minidl, name)(*tensors))
        for retain in (True, False):
            own = tensors_of(dys, "cuda")
            (alone,) = minidl.gradients(outputs, [tensors[i]], own, retain_graph=retain)
            np.testing.assert_array_equal(alone.cpu().numpy(), expected)


@each_name
def test_inputs_of_any_layout(name):
    arrays, dys = arrays_of(name, SIZE)
    expected = outcome(name, arrays, dys, device="cuda")
    ways = [
        lambda x: x.swapaxes(0, -1).copy().swapaxes(0, -1),
        lambda x: x[::-1].copy()[::-1],
        lambda x: cupy.stack([x, x], axis=-1)[..., 0],
    ]
    for way in ways:
        views = lambda xs, way=way: [
            x if x is None else minidl.Tensor(way(x.data)) for x in tensors_of(xs, "cuda")
        ]
        tensors = views(arrays)
        given = [x.requires_grad_() for x in tensors if x is not None]
        outputs = getattr(minidl, name)(*tensors)
        found = minidl.gradients(list(outputs), given, views(dys))
        for one, other in zip((*outputs, *found), expected, strict=True):
            np.testing.assert_allclose(one.cpu().numpy(), other, rtol=0, atol=2e-6)


@each_name
def test_no_waiting_and_no_upload(name, counters):
    arrays, dys = arrays_of(name, SIZE)
    tensors, own = tensors_of([*arrays, mask_of(SIZE)], "cuda"), tensors_of(dys, "cuda")
    given = [x.requires_grad_() for x in tensors[:-1] if x is not None]
    counters.reset()
    outputs = getattr(minidl, name)(*tensors)
    minidl.gradients(list(outputs), given, own)
    assert (counters.h2d, counters.d2h, counters.sync) == (0, 0, 0)


@each_name
def test_float16_computes_in_float32(name, launches):
    arrays, dys = arrays_of(name, SIZE)
    halves = [None if x is None else x.astype(np.float16) for x in arrays]
    found = outcome(name, halves, [dy.astype(np.float16) for dy in dys], device="cuda")
    assert launches[f"{name}_backward_f32"] == SIZE[0]
    assert all(x.dtype == "float16" for x in found)
    wide = [None if x is None else x.astype(np.float32) for x in halves]
    wide_dys = [dy.astype(np.float16).astype(np.float32) for dy in dys]
    right = outcome(name, wide, wide_dys, device="cuda")
    assert_near([x.astype(np.float32) for x in found], right, 2e-3)
