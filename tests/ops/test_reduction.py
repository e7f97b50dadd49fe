"""Reductions: exact to the bound, float16 by way of float32, and one rule for axes."""

import inspect

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minidl
from minidl.errors import AxisError, ShapeError
from minidl.ops.namespace import differentiable
from minidl.testing import strategies
from tests.exactness import KINDS, excess, hostile
from tests.oracle import torch

FLOATS = ("float32", "float64")


def test_the_mean_of_tenths_is_a_tenth_in_every_direction():
    tenths = np.full((2_000_000, 3), 0.1, "float32")
    for x, axis in ((tenths, 0), (tenths.T, 1), (np.ascontiguousarray(tenths.T), 1)):
        np.testing.assert_array_equal(minidl.mean(x, axis=axis), tenths[0])


@pytest.mark.full
def test_a_sum_of_ones_does_not_stick():
    assert minidl.sum(minidl.ones((2**25, 2)), axis=0).tolist() == [2.0**25] * 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(100_000, 3), (300, 1000), (7, 5000, 2)])
def test_reductions_and_the_gradients_of_broadcast_arrays_are_within_the_bound(kind, dtype, shape):
    x = hostile(kind, shape, dtype)
    for axis in range(len(shape)):
        n = shape[axis]
        assert excess(minidl.sum(x, axis=axis), x, axis) <= 1
        assert excess(minidl.mean(x, axis=axis) * n, x, axis) <= 1
        sums = minidl.cumulative_sum(x, axis=axis)
        assert excess(np.take(sums, -1, axis), x, axis) <= 1
        bias = minidl.zeros([1 if i == axis else m for i, m in enumerate(shape)], dtype=dtype)
        bias.requires_grad = True
        ((minidl.ones(shape, dtype=dtype) + bias) * x).sum().backward()
        assert excess(bias.grad, x, axis) <= 1
    bias = minidl.zeros(shape[-1:], dtype=dtype, requires_grad=True)
    ((minidl.ones(shape, dtype=dtype) + bias) * x).sum().backward()
    assert excess(bias.grad, x, tuple(range(len(shape) - 1))) <= 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_variances_norms_and_log_sums_over_long_axes_are_exact(dtype):
    x = hostile("tenths", (100_000, 3), dtype) * np.array([1, 2, 3], dtype)
    x[::2] += 1
    exact = x.astype(np.longdouble)
    epsilon = np.finfo(dtype).eps
    for found, needed in (
        (minidl.var(x, axis=0), exact.var(axis=0)),
        (minidl.std(x, axis=0), exact.std(axis=0)),
        (minidl.linalg.vector_norm(x, axis=0), np.sqrt((exact**2).sum(axis=0))),
        (minidl.linalg.vector_norm(x, axis=0, ord=1), exact.sum(axis=0)),
        (minidl.logsumexp(x, axis=0), np.log(np.exp(exact).sum(axis=0))),
        (minidl.linalg.vector_norm(x), np.sqrt((exact**2).sum())),
    ):
        np.testing.assert_allclose(np.asarray(found, np.longdouble), needed, rtol=8 * epsilon)


def test_float16_is_added_up_in_float32():
    hundreds, ones = np.full(1000, 100, "float16"), np.ones((5000, 2), "float16")
    assert minidl.mean(hundreds).item() == 100
    assert minidl.sum(ones, axis=0).tolist() == [5000, 5000]
    assert minidl.std(np.array([300, -300] * 50, "float16")).item() == 300
    assert (
        minidl.layer_norm(np.array([600, -600] * 4, "float16"), normalized_shape=8).tolist()
        == [1, -1] * 4
    )
    bias = minidl.zeros(2, dtype="float16", requires_grad=True)
    (minidl.zeros((5000, 2), dtype="float16") + bias).sum().backward()
    assert bias.grad.tolist() == [5000, 5000]


WIDE = [n for n in strategies.names() if getattr(vars(differentiable).get(n), "wide", False)]


@pytest.mark.parametrize("name", WIDE)
@given(st.data())
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
def test_float16_gives_what_float32_gives_rounded_at_the_end(name, data):
    case = data.draw(strategies.calls(name, dtypes=("float16",)))
    operation = getattr(differentiable, name)
    arrays = list(case.arrays.values())
    results = []
    for dtype in ("float16", "float32"):
        leaves = [
            minidl.tensor(x.astype(dtype), requires_grad=True)
            if getattr(x, "dtype", None) == "float16"
            else x
            for x in arrays
        ]
        outputs = operation(*leaves, **case.settings)
        outputs = outputs if isinstance(outputs, tuple | list) else [outputs]
        assert all(y.dtype in (dtype, "int64", "bool") for y in outputs)
        if outputs[0].requires_grad:
            outputs[0].sum().backward()
        grads = [getattr(x, "grad", None) for x in leaves]
        results.append([np.asarray(y.detach()) for y in [*outputs, *grads] if y is not None])
    for half, single in zip(*results, strict=True):
        if half.dtype == "float16":
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(half, single.astype("float16"))


def test_float16_has_second_derivatives():
    x = minidl.tensor([0.5, 1.0, 1.5], dtype="float16")
    second = minidl.hessian(minidl.logsumexp)(x)
    assert second.dtype == "float16"
    p = np.asarray(minidl.softmax(x.astype("float32")))
    np.testing.assert_allclose(second, np.diag(p) - np.outer(p, p), atol=1e-3)


def test_float16_beside_a_larger_float_gives_the_larger():
    x = np.ones((2, 4), "float16")
    assert minidl.layer_norm(x, np.ones(4, "float32"), normalized_shape=4).dtype == "float32"
    loss = minidl.mse_loss(minidl.asarray(x), minidl.ones((2, 4)))
    assert loss.dtype == "float32"


# Axes.

_SECOND = {  # further arguments of operations with an axis
    "chunk": lambda x: (x, 2),
    "consecutive_parts": lambda x: (x, {"edges": (0, 1)}),
    "cosine_similarity": lambda x: (x, x),
    "cross": lambda x: (x, x),
    "gumbel_softmax": lambda x: (x, {"key": (0, 0)}),
    "index_copy": lambda x: (x, minidl.asarray([0]), minidl.ones(1)),
    "index_fill": lambda x: (x, minidl.asarray([0]), 1.0),
    "kthvalue": lambda x: (x, 1),
    "nanquantile": lambda x: (x, 0.5),
    "put_along_axis": lambda x: (x, minidl.asarray(0), x),
    "quantile": lambda x: (x, 0.5),
    "repeat": lambda x: (x, 2),
    "roll": lambda x: (x, 1),
    "scatter_add": lambda x: (x, minidl.asarray(0), x),
    "scatter_reduce": lambda x: (x, minidl.asarray(0), x, "sum"),
    "sliding_window_view": lambda x: (x, 1),
    "split": lambda x: (x, {"sections": 1}),
    "take": lambda x: (x, minidl.asarray(0)),
    "take_along_axis": lambda x: (x, minidl.asarray(0)),
    "topk": lambda x: (x, 1),
    "unflatten": lambda x: (x, {"shape": (1,)}),
    "vecdot": lambda x: (x, x),
    "concat": lambda x: ([x, x],),
}
_ADDS_AN_AXIS = {"expand_dims", "stack"}


def _with_an_axis():
    for name, operation in vars(differentiable).items():
        if callable(operation) and not name.startswith("_"):
            parameters = inspect.signature(operation).parameters
            if "axis" in parameters and name not in _ADDS_AN_AXIS:
                yield name


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("name", sorted(_with_an_axis()))
def test_a_tensor_without_axes_has_no_axis_0(name, axis):
    *arguments, last = _SECOND.get(name, lambda x: (x,))(minidl.tensor(1.0))
    options = last if isinstance(last, dict) else {}
    arguments = arguments if isinstance(last, dict) else [*arguments, last]
    with pytest.raises(AxisError, match=f"^{name}.*axis {axis}"):
        getattr(differentiable, name)(*arguments, axis=axis, **options)


REDUCTIONS = ("sum", "prod", "mean", "var", "std", "max", "min", "all", "any", "logsumexp")


@pytest.mark.parametrize("name", [*REDUCTIONS, "count_nonzero"])
def test_axes_are_integers_of_the_tensor(name):
    operation, x = getattr(minidl, name), minidl.ones((2, 3))
    for axis in (2, -3, (0, 5)):
        with pytest.raises(AxisError, match=f"^{name}: .*axis .* is not one of shape"):
            operation(x, axis=axis)
    for axis in ("0", 1.0):
        with pytest.raises(minidl.errors.DTypeError, match=f"^{name}: .*integer"):
            operation(x, axis=axis)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
def test_empty_axes_give_what_pytorch_gives(shape):
    x, axis = np.zeros(shape, "float32"), shape.index(0)
    theirs = torch.from_numpy(x)
    for name, other in {
        "sum": theirs.sum(axis),
        "prod": theirs.prod(axis),
        "mean": theirs.mean(axis),
        "var": theirs.var(axis, correction=0),
        "std": theirs.std(axis, correction=0),
        "logsumexp": theirs.logsumexp(axis),
    }.items():
        np.testing.assert_array_equal(getattr(minidl, name)(x, axis=axis), other, err_msg=name)
    for name in ("max", "min", "argmax"):
        with pytest.raises(ShapeError, match=f"^{name}: there are no numbers along axis"):
            getattr(minidl, name)(x, axis=axis)


def test_the_gradient_of_a_product_does_not_overflow_on_the_way():
    x = minidl.tensor([1e30, 1e30, 1e-30, 1e-30], requires_grad=True)
    minidl.prod(x).backward()
    np.testing.assert_allclose(x.grad, [1e-30, 1e-30, 1e30, 1e30], rtol=1e-6)
    y = minidl.grad(lambda x: minidl.cumulative_prod(x)[-1])(x.detach())
    np.testing.assert_allclose(y, x.grad, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint64"])
def test_variances_of_large_integers_are_of_their_differences(dtype):
    x = np.array([0, 1, 3], dtype) + np.array(2**24, dtype)
    assert minidl.var(x).item() == np.float32(14 / 9)
    assert minidl.std(x).item() == pytest.approx(np.sqrt(14 / 9), rel=1e-6)
    assert minidl.var(x).dtype == minidl.std(x).dtype == "float32"
