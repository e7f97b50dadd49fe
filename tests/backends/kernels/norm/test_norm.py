"""Batch, layer and group norm: the operations, and the kernels against the bodies."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.autograd import inplace
from minidl.autograd.primitive import composite
from minidl.backends import cpu, threads
from minidl.errors import ArgumentError, GradientError, MinidlError, ShapeError
from tests.helpers import assert_all_close, assert_close
from tests.oracle import functional, torch

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
NAMES = ("batch_norm", "batch_norm_inference", "layer_norm", "group_norm")
each_name = pytest.mark.parametrize("name", NAMES)
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
each_mode = pytest.mark.parametrize("mode", ["fast", "reference", "higher order"])


def computing(mode):
    """A context in which kernels, bodies, or recorded bodies compute."""
    return minidl.higher_order() if mode == "higher order" else minidl.kernels(mode)


def ours(name, x, vectors, axes=1, groups=1, eps=1e-5):
    """The output of an operation, and for batch norm the mean and the variance."""
    if name == "layer_norm":
        return ops.layer_norm(x, *vectors, normalized_shape=x.shape[x.ndim - axes :], eps=eps)
    if name == "group_norm":
        return ops.group_norm(x, *vectors, num_groups=groups, eps=eps)
    return getattr(ops, name)(x, *vectors, eps=eps)


def theirs(name, x, vectors, axes=1, groups=1, eps=1e-5):
    """PyTorch's output."""
    if name == "layer_norm":
        return functional.layer_norm(x, x.shape[x.ndim - axes :], *vectors, eps=eps)
    if name == "group_norm":
        return functional.group_norm(x, groups, *vectors, eps=eps)
    if name == "batch_norm":
        return functional.batch_norm(x, None, None, *vectors, training=True, eps=eps)
    mean, var, *affine = vectors
    return functional.batch_norm(x, mean.detach(), var.detach(), *affine, eps=eps)


def arrays_of(name, shape, dtype="float64", affine=2, axes=1, seed=0):
    """x, and the vectors of an operation, of which `affine` are weight and bias."""
    rng = np.random.default_rng(seed)
    own = shape[len(shape) - axes :] if name == "layer_norm" else shape[1:2]
    vectors = [rng.uniform(0.5, 2, own) for _ in range(2 * (name == "batch_norm_inference"))]
    vectors += [rng.normal(size=own) for _ in range(affine)]
    return [np.asarray(x, dtype) for x in (rng.normal(1, 2, shape), *vectors)]


def outcome(name, arrays, mode="fast", seed=1, **settings):
    """The outputs, and the gradients of all arrays."""
    with computing(mode):
        inputs = [minidl.asarray(x, requires_grad=True) for x in arrays]
        y = ours(name, inputs[0], inputs[1:], **settings)
        y, *constants = y if type(y) is tuple else (y,)
        dy = np.asarray(np.random.default_rng(seed).normal(size=y.shape), y.dtype)
        found = minidl.gradients(y, inputs, [minidl.asarray(dy)])
    return [np.asarray(x) for x in (y, *constants, *found)]


# Against PyTorch.

SHAPES = [(5, 4), (3, 4, 6), (2, 4, 3, 5), (2, 4, 2, 2, 4), (70, 4), (3, 4, 30, 50), (40, 4, 7)]


@pytest.mark.sampled(0.4)
@each_dtype
@each_mode
@pytest.mark.parametrize("shape", SHAPES)
@each_name
def test_values_and_gradients_equal_pytorchs(name, shape, mode, dtype):
    for affine, groups, eps in [(2, 1, 1e-5), (0, 2, 0.1), (1, 2, 0.1)]:
        arrays = arrays_of(name, shape, dtype, affine)
        given = [torch.tensor(x, requires_grad=True) for x in arrays]
        y = theirs(name, given[0], given[1:], groups=groups, eps=eps)
        dy = torch.from_numpy(np.asarray(np.random.default_rng(1).normal(size=shape), dtype))
        learnt = [
            x for i, x in enumerate(given) if name != "batch_norm_inference" or i not in (1, 2)
        ]
        expected = [y.detach(), *torch.autograd.grad(y, learnt, dy)]
        found = outcome(name, arrays, mode, groups=groups, eps=eps)
        if name == "batch_norm":
            del found[1:3]
        if name == "batch_norm_inference":
            del found[2:4]
        assert_all_close(found, [x.numpy() for x in expected], TOLERANCE[dtype])


@each_mode
def test_statistics_are_the_mean_and_the_variance_divided_by_n(mode):
    (x,) = arrays_of("batch_norm", (4, 3, 5), affine=0)
    with computing(mode):
        _, mean, var = ops.batch_norm(minidl.asarray(x))
    assert_close(mean, x.mean(axis=(0, 2)), 1e-14)
    assert_close(var, x.var(axis=(0, 2)), 1e-14)


@each_name
def test_second_derivatives_equal_pytorchs(name):
    arrays = arrays_of(name, (3, 4, 5))
    v = np.random.default_rng(2).normal(size=(3, 4, 5))
    inputs = [torch.tensor(x, requires_grad=True) for x in arrays]
    y = theirs(name, inputs[0], inputs[1:], eps=0.1)
    (dx,) = torch.autograd.grad((y**3).sum(), inputs[:1], create_graph=True)
    expected = torch.autograd.grad((dx * torch.from_numpy(v)).sum(), [inputs[0], *inputs[-2:]])
    with minidl.higher_order():
        inputs = [minidl.tensor(x, requires_grad=True) for x in arrays]
        y = ours(name, inputs[0], inputs[1:], eps=0.1)
        y = y[0] if type(y) is tuple else y
        (dx,) = minidl.gradients((y**3).sum(), inputs[:1], create_graph=True)
        found = minidl.gradients((dx * v).sum(), [inputs[0], *inputs[-2:]])
    assert_all_close(found, [x.numpy() for x in expected], 1e-10)


# The kernels against the bodies.


@st.composite
def layouts(draw):
    """An array of a drawn shape and layout, with channels on axis 1."""
    dtype = draw(st.sampled_from(list(TOLERANCE)))
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 9)))
    shape += tuple(draw(st.lists(st.integers(1, 12), max_size=2)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    kind = draw(st.sampled_from(["plain", "transposed", "every second", "backwards", "repeated"]))
    if kind == "transposed":
        x = np.asarray(rng.normal(1, 2, shape[::-1]), dtype).T
    elif kind == "every second":
        x = np.asarray(rng.normal(1, 2, (*shape[:-1], shape[-1] * 2)), dtype)[..., ::2]
    elif kind == "backwards":
        x = np.asarray(rng.normal(1, 2, shape), dtype)[::-1, ::-1]
    else:
        x = np.asarray(rng.normal(1, 2, shape), dtype)
        x = np.broadcast_to(x[:1], shape) if kind == "repeated" and shape[0] > 1 else x
    return x


@settings(deadline=None, max_examples=40)
@given(x=layouts(), affine=st.integers(0, 2), data=st.data())
@each_name
def test_kernels_compute_what_the_bodies_compute(name, x, affine, data):
    axes = data.draw(st.integers(1, x.ndim))
    groups = data.draw(st.sampled_from([g for g in range(1, 10) if x.shape[1] % g == 0]))
    arrays = [x, *arrays_of(name, x.shape, x.dtype, affine, axes)[1:]]
    settings = {"axes": axes, "groups": groups, "eps": 0.1}
    exact = outcome(name, [np.asarray(a, "float64") for a in arrays], "reference", **settings)
    for found, needed in zip(outcome(name, arrays, **settings), exact, strict=True):
        assert (found.shape, found.dtype) == (needed.shape, x.dtype)
        # Gradients are differences of numbers of the size of 1.
        scale = max(np.abs(needed).max(initial=0), 1)
        atol = (1e-5 if x.dtype == "float32" else 1e-12) * scale
        np.testing.assert_allclose(found, needed, rtol=0, atol=atol)


@each_name
def test_several_threads_compute_what_one_computes(name, monkeypatch):
    arrays = arrays_of(name, (6, 4, 25, 40), "float32")
    alone = outcome(name, arrays, groups=2)
    for chunks in (2, 3, 5):
        monkeypatch.setattr(threads, "chunks", lambda nanoseconds, n=chunks: n)
        first, again = outcome(name, arrays, groups=2), outcome(name, arrays, groups=2)
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, other)
        assert_all_close(first, alone, 1e-6)


@each_name
def test_kernels_run(name, monkeypatch):
    """What these tests compare with the bodies is not the bodies."""
    calls = []
    kernel = cpu.kernel(name)
    watched = lambda *xs, **ss: calls.append(kernel(*xs, **ss)) or calls[-1]
    monkeypatch.setattr(cpu, "kernel", lambda _: watched)
    outcome(name, arrays_of(name, (3, 4, 5), "float32"))
    assert len(calls) == 1
    assert calls[0] is not NotImplemented


@pytest.mark.parametrize("dtypes", [("float16", "float16"), ("float32", "float64"), ("int64",) * 2])
@each_name
def test_other_dtypes_are_left_to_the_bodies(name, dtypes):
    x, *vectors = arrays_of(name, (3, 4, 5))
    inputs = [np.asarray(x, dtypes[0]), *(np.asarray(v, dtypes[1]) for v in vectors)]
    results = []
    for mode in ("fast", "reference"):
        with computing(mode):
            y = ours(name, minidl.asarray(inputs[0]), [minidl.asarray(v) for v in inputs[1:]])
            results.append(y[0] if type(y) is tuple else y)
    assert_close(*results, 0)


# What could go wrong with numbers.


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "group_norm"])
def test_a_large_mean_costs_the_kernels_no_digits(name):
    rng = np.random.default_rng(0)
    shape = (1, 1, 40_000) if name != "batch_norm" else (400, 3, 100)
    x = np.asarray(1e4 + rng.normal(size=shape), "float32")
    vectors = arrays_of(name, shape, "float32")[1:]
    exact = outcome(name, [np.asarray(a, "float64") for a in (x, *vectors)], "reference")
    found = outcome(name, [x, *vectors])
    assert_all_close(found, [np.asarray(a, "float32") for a in exact], 1e-5)


def test_a_large_mean_costs_the_kernel_of_inference_no_digits():
    x = np.asarray(1e4 + np.random.default_rng(0).normal(size=(50, 3, 8)), "float32")
    mean, var = np.float32([1e4, 1e4 + 0.5, 9999]), np.ones(3, "float32")
    exact = outcome("batch_norm_inference", [np.float64(a) for a in (x, mean, var)], "reference")
    found = outcome("batch_norm_inference", [x, mean, var])
    assert_all_close(found, [np.asarray(a, "float32") for a in exact], 1e-5)


@pytest.mark.parametrize("outlier", [1e4, -3e5])
def test_an_outlier_where_the_kernels_begin_costs_no_digits(outlier):
    x = np.asarray(np.random.default_rng(0).normal(size=(200, 2, 30)), "float32")
    x[0, :, 0] = outlier
    exact = outcome("batch_norm", [np.float64(x)], "reference")
    assert_all_close(outcome("batch_norm", [x]), [np.float32(a) for a in exact], 1e-5)


def test_a_variance_too_large_for_float32_is_infinite():
    x = np.float32([[1e30], [-1e30], [2e30]])
    y, mean, var, *_ = outcome("batch_norm", [x])
    assert_close(y, np.float32((x - x.mean(dtype="float64")) / x.std(dtype="float64")), 1e-6)
    assert_close(mean, x.mean(axis=0), 1e-6)
    assert var == np.inf


@pytest.mark.parametrize("name", ["batch_norm", "batch_norm_inference", "layer_norm"])
def test_sums_over_many_rows_are_precise(name):
    arrays = arrays_of(name, (100_000, 2), "float32")
    found, exact = [], []
    for dtype, results in (("float32", found), ("float64", exact)):
        inputs = [minidl.asarray(np.asarray(a, dtype), requires_grad=True) for a in arrays]
        y = ours(name, inputs[0], inputs[1:])
        y = y[0] if type(y) is tuple else y
        results += minidl.gradients((y * 0.1 + y**2).sum(), inputs[-2:])
    np.testing.assert_allclose(found, exact, rtol=3e-7)


@pytest.mark.parametrize("constant", [0.0, 0.1, -12345.678, 1e10])
@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "group_norm"])
def test_the_kernels_make_0_of_constants(name, constant):
    x = np.full((7, 2, 300), constant, "float32")
    y, *others = outcome(name, [x])
    np.testing.assert_array_equal(y, np.zeros_like(x))
    assert all(np.isfinite(other).all() for other in others)
    if name == "batch_norm":
        np.testing.assert_array_equal(others[0], x[0, :, 0])
        np.testing.assert_array_equal(others[1], [0, 0])


@pytest.mark.filterwarnings("ignore:invalid value")
@each_dtype
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 1, 0), (2, 1, 3)])
@each_name
def test_what_is_not_finite_spreads_as_far_as_in_the_bodies(name, place, bad, dtype):
    arrays = arrays_of(name, (4, 4, 5), dtype)
    arrays[0][place] = bad
    fast, slow = (outcome(name, arrays, mode, groups=2) for mode in ("fast", "reference"))
    for one, other in zip(fast, slow, strict=True):
        finite = np.isfinite(other)
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
        np.testing.assert_array_equal(np.isinf(one), np.isinf(other))
        np.testing.assert_allclose(one[finite], other[finite], rtol=0, atol=1e-4)


@pytest.mark.filterwarnings("ignore:invalid value")
@each_mode
def test_a_negative_variance_is_not_hidden(mode):
    x, mean, var = arrays_of("batch_norm_inference", (4, 2), "float32", 0)
    var[1] = -1
    y = outcome("batch_norm_inference", [x, mean, var], mode)[0]
    np.testing.assert_array_equal(np.isnan(y), [[False, True]] * 4)


@each_mode
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4), (2, 3, 0)])
@each_name
def test_nothing_becomes_nothing(name, shape, mode):
    axes = len(shape) - 1
    arrays = arrays_of(name, shape, "float32", axes=axes)
    y, *rest = outcome(name, arrays, mode, axes=axes)
    assert y.shape == shape
    gradients = rest[2:] if name == "batch_norm" else rest
    assert [g.shape for g in gradients] == [a.shape for a in arrays]
    assert all((g == 0).all() for g in gradients)


@each_mode
@pytest.mark.parametrize("shape", [(2, 0, 3), (0, 0, 2, 2)])
def test_instance_norm_of_no_channels_is_nothing(shape, mode):
    x = minidl.tensor(np.zeros(shape), requires_grad=True)
    with computing(mode):
        y = ops.instance_norm(x)
        y.sum().backward()
    assert y.shape == x.grad.shape == shape


# What is saved, and what is constant.


@each_mode
def test_statistics_of_a_batch_are_constants(mode):
    x = minidl.tensor(arrays_of("batch_norm", (4, 3))[0], requires_grad=True)
    with computing(mode):
        y, mean, var = ops.batch_norm(x)
    assert y.requires_grad
    assert not mean.requires_grad
    assert not var.requires_grad


def test_a_composite_declares_which_outputs_are_constants():
    @composite(constants=(1,))
    def halves(xp, x, /, by=2):
        return x / by, x - x / by

    @composite
    def half(xp, x, /):
        return x / 2

    x = minidl.tensor([3.0], requires_grad=True)
    value, rest = halves(x, by=4)
    assert (value.item(), rest.item(), half(x).item()) == (0.75, 2.25, 1.5)
    assert minidl.gradients(value + rest + half(x), [x])[0].item() == 0.75
    assert not rest.requires_grad
    assert halves.__name__ == "halves"


@each_name
def test_a_pullback_keeps_the_input_and_little_else(name):
    arrays = arrays_of(name, (16, 8, 30), "float32")
    inputs = [minidl.asarray(a, requires_grad=True) for a in arrays]
    y = ours(name, inputs[0], inputs[1:])
    node = (y[0] if type(y) is tuple else y).edge[0]
    kept = {
        id(inplace.buffer_of(a)): inplace.buffer_of(a) for a in inplace._arrays_in(node.pullback)
    }
    extra = sum(a.nbytes for a in kept.values()) - inputs[0].data.nbytes
    assert 0 <= extra < inputs[0].data.nbytes / 4


@each_name
def test_writing_into_the_input_before_backward_is_refused(name):
    inputs = [minidl.tensor(a, requires_grad=True) for a in arrays_of(name, (4, 3, 2), "float32")]
    y = ours(name, inputs[0], inputs[1:])
    y = y[0] if type(y) is tuple else y
    with minidl.no_grad():
        inputs[0][...] = 0
    with pytest.raises(GradientError, match=f"{name} saved an array .* written in place"):
        minidl.gradients(y.sum(), inputs)


# Errors.

X = ops.ones((2, 6, 3))
MISUSES = {
    "a vector": (
        lambda: ops.batch_norm(ops.ones(3)),
        ShapeError,
        "batch_norm: needs x of shape (N, C) or (N, C, …); got (3,)",
    ),
    "a number": (
        lambda: ops.group_norm(ops.ones(()), num_groups=1),
        ShapeError,
        "group_norm: needs x of shape (N, C) or (N, C, …); got ()",
    ),
    "weight": (
        lambda: ops.batch_norm(X, ops.ones(3)),
        ShapeError,
        "batch_norm: needs one number for each of the 6 channels of (2, 6, 3); got (3,)",
    ),
    "bias": (
        lambda: ops.group_norm(X, None, ops.ones((6, 1)), num_groups=2),
        ShapeError,
        "group_norm: needs one number for each of the 6 channels of (2, 6, 3); got (6, 1)",
    ),
    "mean": (
        lambda: ops.batch_norm_inference(X, ops.ones(1), ops.ones(6)),
        ShapeError,
        "batch_norm_inference: needs one number for each of the 6 channels of (2, 6, 3); got (1,)",
    ),
    "eps": (
        lambda: ops.batch_norm(X, eps=0),
        ArgumentError,
        "batch_norm: eps must be above 0, since a variance may be 0; got 0",
    ),
    "groups": (
        lambda: ops.group_norm(X, num_groups=4),
        ArgumentError,
        "group_norm: 4 groups do not divide 6 channels",
    ),
    "no groups": (
        lambda: ops.group_norm(X, num_groups=0),
        ArgumentError,
        "group_norm: 0 groups do not divide 6 channels",
    ),
    "axes": (
        lambda: ops.layer_norm(X, normalized_shape=(6, 4)),
        ShapeError,
        "layer_norm: needs x of shape (…, 6, 4), and at least one axis; got (2, 6, 3)",
    ),
    "no axes": (
        lambda: ops.layer_norm(X, normalized_shape=()),
        ShapeError,
        "layer_norm: needs x of shape (…), and at least one axis; got (2, 6, 3)",
    ),
    "layer weight": (
        lambda: ops.layer_norm(X, ops.ones(6), normalized_shape=3),
        ShapeError,
        "layer_norm: needs weight and bias of shape (3,); got (6,)",
    ),
}


@each_mode
@pytest.mark.parametrize(("misuse", "kind", "message"), MISUSES.values(), ids=MISUSES)
def test_errors_say_what_is_needed(misuse, kind, message, mode):
    with computing(mode), pytest.raises(kind, match=f"^{re.escape(message)}$"):
        misuse()


SETTINGS = {"layer_norm": {"normalized_shape": 1}, "group_norm": {"num_groups": 1}}


@each_name
def test_a_list_is_no_tensor(name):
    with pytest.raises(MinidlError, match=f"{name}.*list"):
        getattr(ops, name)([1.0], [1.0], [1.0], **SETTINGS.get(name, {}))
