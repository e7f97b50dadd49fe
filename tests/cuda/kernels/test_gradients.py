"""Clipping and unscaling of all gradients at once, on the GPU."""

import math

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.errors import GradientError
from minidl_cuda.kernels import gradients as kernels
from minidl_cuda.kernels.multi_tensor import CHUNK

SHAPES = [(), (1,), (3, 4), (0,), (CHUNK,), (2 * CHUNK + 4,), (CHUNK - 1,), (17, 300)]


def parameters(gradients, device="cuda"):
    params = []
    for g in gradients:
        p = nn.Parameter(minidl.zeros(np.shape(g)).to(device))
        p.grad = minidl.tensor(np.asarray(g, "float32")).to(device)
        params.append(p)
    return params


def drawn(shapes=SHAPES, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=s) * scale).astype("float32") for s in shapes]


def exact_norm(gradients):
    return math.sqrt(math.fsum(float(x) ** 2 for g in gradients for x in np.ravel(g)))


@pytest.mark.parametrize("most", [0.5, 1e6])
@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e25])
def test_norms_are_exact_whatever_their_size(scale, most, counters):
    gradients = drawn(scale=scale)
    params, before = parameters(gradients), exact_norm(gradients)
    held = [p.grad for p in params]
    counters.reset()
    norm = optim.clip_grad_norm_(params, most)
    assert counters.launches == {"norm_parts_f32": 1, "clip_f32": 1}
    assert (counters.h2d, counters.d2h, counters.sync) == (0, 0, 0)
    assert norm.device.type == "cuda"
    assert abs(norm.item() - before) <= 4e-7 * before
    factor = min(1, most / (before + 1e-6))
    for p, g, old in zip(params, gradients, held, strict=True):
        found = p.grad.numpy()
        if factor == 1:
            np.testing.assert_array_equal(found, g)
        else:
            np.testing.assert_allclose(found, g * factor, rtol=1e-6)
        np.testing.assert_array_equal(old.numpy(), g)  # others still hold what they had


def test_norms_of_numbers_of_all_sizes():
    for values in ([3e38, 1e30], [1e20, 1.0], [1e-20, 1e-30], [1.0, 1e-19], [2.0**40, 2.0**-63]):
        norm = optim.clip_grad_norm_(parameters([values]), 1.0)
        expected = exact_norm([np.float32(values)])
        assert abs(norm.item() - expected) <= 4e-7 * expected


def test_long_sums_lose_nothing(monkeypatch):
    monkeypatch.setattr(kernels, "_MOST_BLOCKS", 3)
    g = np.full(40 * CHUNK + 5, np.float32(0.1))
    norm = optim.clip_grad_norm_(parameters([g]), 1.0).item()
    assert norm == pytest.approx(float(np.float32(0.1)) * math.sqrt(g.size), rel=2e-7)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_norms_that_are_not_finite(bad):
    params = parameters([[1.0, bad], [2.0]])
    with pytest.raises(GradientError, match="error_if_nonfinite"):
        optim.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(params[1].grad.numpy(), [2])  # as before
    on_cpu = parameters([[1.0, bad], [2.0]], "cpu")
    for given in (params, on_cpu):
        assert not math.isfinite(optim.clip_grad_norm_(given, 1.0).item())
    for p, q in zip(params, on_cpu, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())


def test_zeros_and_nothing():
    params = parameters([[0.0, 0.0], np.zeros((0, 3))])
    assert optim.clip_grad_norm_(params, 1.0).item() == 0
    assert params[0].grad.tolist() == [0, 0]
    assert optim.clip_grad_norm_(parameters([np.zeros(0)]), 1.0).item() == 0


def test_many_gradients_take_several_launches(launches):
    gradients = drawn([(5,)] * 400)
    params = parameters(gradients)
    norm = optim.clip_grad_norm_(params, 1.0)
    assert (launches["norm_parts_f32"], launches["clip_f32"]) == (3, 3)
    expected = exact_norm(gradients)
    assert norm.item() == pytest.approx(expected, rel=4e-7)
    for p, g in zip(params, gradients, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), g / expected, rtol=2e-6)


def test_rows_of_a_sparse_gradient():
    found = {}
    for device in ("cuda", "cpu"):
        table = nn.Embedding(10, 3, sparse=True)
        table.weight = nn.Parameter(minidl.ones((10, 3)).to(device))
        ids = minidl.tensor([2, 7, 2]).to(device)
        (table(ids) * 5).sum().backward()
        norm = optim.clip_grad_norm_([table.weight], 1.0)
        gradient = table.weight.grad
        assert isinstance(gradient, minidl.RowGradient)
        optim.clip_grad_value_([table.weight], 0.4)
        found[device] = norm.item(), gradient.numpy(), table.weight.grad.numpy()
    for x, y in zip(found["cuda"], found["cpu"], strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


def test_values_are_clipped_in_one_launch(counters):
    gradients = [*drawn(scale=3.0), np.float32([np.nan, np.inf, -np.inf, 0.5])]
    params = parameters(gradients)
    counters.reset()
    optim.clip_grad_value_(params, 1.5)
    assert counters.launches == {"clamp_f32": 1}
    assert (counters.h2d, counters.d2h, counters.sync) == (0, 0, 0)
    for p, g in zip(params, gradients, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), np.clip(g, -1.5, 1.5))


def test_other_dtypes_and_norms_are_computed_without_kernels(launches):
    p = nn.Parameter(minidl.zeros(2, dtype="float64").to("cuda"))
    p.grad = minidl.tensor([3.0, 4.0], dtype="float64").to("cuda")
    assert optim.clip_grad_norm_([p], 1.0).item() == 5
    p.grad = minidl.tensor([3.0, 4.0], dtype="float64").to("cuda")
    assert optim.clip_grad_norm_([p], 1.0, norm_type=1).item() == 7
    assert not launches["clip_f32"]


@pytest.mark.parametrize("wrong", [None, math.inf, -math.inf, math.nan])
def test_unscaling_divides_and_finds_what_is_not_finite(wrong, counters):
    gradients = drawn()
    if wrong is not None:
        gradients[-1][16, 299] = wrong
    arrays = [minidl.tensor(g, device="cuda").data for g in gradients]
    scale, found = (minidl.tensor(x, dtype="float32", device="cuda") for x in (8.0, 0.0))
    counters.reset()
    unscaled = kernels.unscale(arrays, scale.data, found.data)
    assert counters.launches == {"unscale_f32": 1}
    assert found.item() == (wrong is not None)
    for g, result in zip(gradients, unscaled, strict=True):
        np.testing.assert_array_equal(minidl.Tensor(result).numpy(), g / 8)


def test_the_scale_shrinks_at_once_and_grows_after_an_interval(counters):
    scale, found = (minidl.tensor(x, dtype="float32", device="cuda") for x in (64.0, 0.0))
    steps = minidl.tensor(0, dtype="int32", device="cuda")
    for wrong, expected in ((0, 64), (0, 128), (1, 32), (0, 32), (1, 8), (0, 8), (0, 16)):
        found.data[...] = wrong
        counters.reset()
        kernels.update_scale(scale.data, steps.data, found.data, 2.0, 0.25, 2)
        assert counters.launches["update_scale"] == 1
        assert scale.item() == expected
