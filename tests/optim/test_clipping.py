"""Clipping of gradients: PyTorch's numbers, rows of tables, and what is left alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn, ops, optim
from minidl.backends.rows import RowGradient
from minidl.errors import ArgumentError, GradientError
from minidl.optim import clip_grad_norm_, clip_grad_value_
from tests.helpers import assert_close
from tests.optim.test_optim import SHAPES, TOLERANCE, arrays, assert_equal, parameters_of
from tests.oracle import torch

LIBRARIES = minidl, torch
NORMS = [2.0, 1.0, 3.5, 0.5, math.inf, "inf", 2]
DTYPES = ["float64", "float32", ["float32", "float64"]]
NAN = float("nan")


def with_gradients(library, dtypes="float64", scale=1.0):
    """Parameters, of which the second has no gradient, and none is empty."""
    values = arrays(dtypes, [shape for shape in SHAPES if 0 not in shape])
    parameters = parameters_of(library, values)
    for position, (p, x) in enumerate(zip(parameters, values, strict=True)):
        if position != 1:
            p.grad = library.tensor(np.asarray(scale * x, x.dtype))
    return parameters


def utils_of(library):
    return library.optim if library is minidl else torch.nn.utils


def gradients_of(parameters):
    return [None if p.grad is None else np.asarray(p.grad) for p in parameters]


def assert_gradients_close(ours, theirs, tolerance=1e-10):
    for one, other in zip(*map(gradients_of, (ours, theirs)), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert_close(one, other, tolerance)


# PyTorch's numbers.


@pytest.mark.parametrize("dtypes", DTYPES, ids=str)
@pytest.mark.parametrize("norm_type", NORMS)
@pytest.mark.parametrize("max_norm", [0, 0.1, 3, 1e6, math.inf])
def test_norms_are_clipped_as_in_pytorch(max_norm, norm_type, dtypes):
    found = [with_gradients(library, dtypes) for library in LIBRARIES]
    ours, theirs = (
        utils_of(library).clip_grad_norm_(iter(parameters), max_norm, norm_type)
        for library, parameters in zip(LIBRARIES, found, strict=True)
    )
    tolerance = TOLERANCE["float32" if "float32" in dtypes else "float64"]
    assert_close(ours, theirs, tolerance)
    assert_gradients_close(*found, tolerance)


@pytest.mark.parametrize("dtypes", DTYPES, ids=str)
@pytest.mark.parametrize("clip_value", [0, 0.1, 1, 100.0])
def test_values_are_clipped_as_in_pytorch(clip_value, dtypes):
    found = [with_gradients(library, dtypes) for library in LIBRARIES]
    for library, parameters in zip(LIBRARIES, found, strict=True):
        assert utils_of(library).clip_grad_value_(list(parameters), clip_value) is None
    assert_gradients_close(*found, 0)


@pytest.mark.parametrize("norm_type", NORMS)
@pytest.mark.parametrize("worst", [NAN, math.inf, -math.inf])
def test_what_is_not_finite_spreads_as_in_pytorch(worst, norm_type):
    found = [with_gradients(library) for library in LIBRARIES]
    norms = []
    for library, parameters in zip(LIBRARIES, found, strict=True):
        parameters[2].grad = library.tensor(np.array([[1, 2, worst], [3, 4, 5]]))
        norms.append(utils_of(library).clip_grad_norm_(parameters, 1.0, norm_type))
    np.testing.assert_array_equal(*norms)
    assert_gradients_close(*found)
    for library, parameters in zip(LIBRARIES, found, strict=True):
        parameters[2].grad = library.tensor(np.array([[1, 2, worst], [3, 4, 5]]))
        utils_of(library).clip_grad_value_(parameters, 1.5)
    assert_gradients_close(*found)


def test_an_error_is_raised_for_what_is_not_finite_if_wished():
    parameters = with_gradients(minidl)
    parameters[0].grad = minidl.tensor(math.inf, dtype="float64")
    before = gradients_of(parameters)
    with pytest.raises(GradientError, match="the norm of the gradients is inf"):
        clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    for one, other in zip(gradients_of(parameters), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("scale", [1e25, 1e-20])
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5])
def test_float32_gradients_may_be_huge_and_tiny(scale, norm_type):
    found = [with_gradients(minidl, dtype, scale) for dtype in ("float32", "float64")]
    norms = [clip_grad_norm_(parameters, scale / 100, norm_type) for parameters in found]
    np.testing.assert_allclose(*norms, rtol=1e-6)
    clipped = [[g for g in gradients_of(parameters) if g is not None] for parameters in found]
    for one, other in zip(*clipped, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("nothing", [[], [nn.Parameter(1.0)], [minidl.ones(3)]])
def test_without_gradients_the_norm_is_0(nothing):
    norm = clip_grad_norm_(nothing, 1.0)
    assert norm.item() == 0
    assert norm.dtype == np.float32
    clip_grad_value_(nothing, 1.0)


def test_the_parameters_may_be_one_tensor():
    p = nn.Parameter([3.0, 4.0])
    p.grad = minidl.tensor([3.0, 4.0], dtype="float64").astype(p.dtype)
    assert clip_grad_norm_(p, 1.0).item() == 5
    np.testing.assert_allclose(p.grad, [0.6, 0.8], rtol=1e-5)
    clip_grad_value_(p, 0.7)
    np.testing.assert_allclose(p.grad, [0.6, 0.7], rtol=1e-5)


def test_numpys_scalars_keep_the_dtype():
    parameters = with_gradients(minidl, "float32")
    clip_grad_norm_(parameters, np.float64(0.1))
    clip_grad_value_(parameters, np.float64(0.01))
    assert all(p.grad is None or p.grad.dtype == np.float32 for p in parameters)


# Rows of tables.


def table_gradient(sparse):
    """Of a table of which some rows are used, one twice, beside a dense parameter."""
    table, bias = nn.Parameter(minidl.tensor(arrays(shapes=[(7, 3)])[0])), nn.Parameter(np.ones(3))
    y = ops.embedding(table, minidl.tensor([2, 5, 2, 0]), sparse=sparse)
    ((y + bias) ** 3).sum().backward()
    return [table, bias]


@pytest.mark.parametrize("norm_type", [1.0, 2.0, math.inf])
def test_rows_are_clipped_as_the_dense_gradient_is(norm_type, monkeypatch):
    dense, rows = table_gradient(False), table_gradient(True)
    expected = clip_grad_norm_(dense, 0.5, norm_type)
    with monkeypatch.context() as context:
        context.delattr(RowGradient, "dense")
        assert_close(clip_grad_norm_(rows, 0.5, norm_type), expected, 1e-14)
    assert isinstance(rows[0].grad, RowGradient)
    assert_close(rows[0].grad.dense(), dense[0].grad, 1e-14)
    assert_close(rows[1].grad, dense[1].grad, 1e-14)


def test_rows_have_their_values_clipped_as_the_dense_gradient_has():
    dense, rows = table_gradient(False), table_gradient(True)
    for parameters in (dense, rows):
        clip_grad_value_(parameters, 2.0)
    assert isinstance(rows[0].grad, RowGradient)
    assert_close(rows[0].grad.dense(), dense[0].grad, 1e-14)
    optim.SGD(rows, lr=0.1).step()
    optim.SGD(dense, lr=0.1).step()
    assert_close(rows[0].detach(), dense[0].detach(), 1e-14)


# What is left alone.


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
def test_what_others_hold_is_not_changed(clip):
    pair = [nn.Parameter([3.0, 4.0]), nn.Parameter([3.0, 4.0])]
    pair[0].grad = pair[1].grad = shared = minidl.tensor([3.0, 4.0])
    clip([*pair, pair[0]], 0.01)
    assert shared.tolist() == [3, 4]
    assert_equal([pair[0].grad.numpy()], [pair[1].grad.numpy()])
    assert not np.shares_memory(pair[0].grad, pair[1].grad)
    assert not np.shares_memory(pair[0].grad, shared)


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
def test_a_graph_on_the_gradient_stays_right(clip):
    p = nn.Parameter([3.0, 4.0])
    (p * p).sum().backward()
    w = minidl.ones(2, requires_grad=True)
    y = (w * p.grad).sum()
    clip([p], 0.01)
    y.backward()
    assert w.grad.tolist() == [6, 8]


def test_backward_adds_to_clipped_gradients():
    p = nn.Parameter([3.0, 4.0])
    (p * p).sum().backward()
    clip_grad_value_([p], 1.0)
    (p * p).sum().backward()
    assert p.grad.tolist() == [7, 9]


def test_recorded_gradients_are_clipped_to_constants():
    p = nn.Parameter([3.0, 4.0])
    with minidl.higher_order():
        (p * p).sum().backward(create_graph=True)
    assert clip_grad_norm_([p], 1.0).item() == 10
    np.testing.assert_allclose(p.grad, [0.6, 0.8], rtol=1e-5)
    assert p.grad.is_leaf


def test_a_norm_that_is_small_enough_leaves_every_bit():
    parameters = with_gradients(minidl)
    before = gradients_of(parameters)
    clip_grad_norm_(parameters, 1e3)
    for one, other in zip(gradients_of(parameters), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_parameter_that_is_given_twice_counts_once():
    p = nn.Parameter([3.0, 4.0])
    p.grad = minidl.tensor([3.0, 4.0])
    assert clip_grad_norm_([p, p], 1.0).item() == 5
    np.testing.assert_allclose(p.grad, [0.6, 0.8], rtol=1e-5)


@given(st.integers(0, 9), st.floats(1e-3, 10), st.sampled_from([1.0, 2.0, 3.0, math.inf]))
def test_afterwards_the_norm_is_at_most_the_largest_allowed(seed, max_norm, norm_type):
    rng = np.random.default_rng(seed)
    parameters = [nn.Parameter(np.ones(n)) for n in rng.integers(0, 9, size=4)]
    for p in parameters:
        p.grad = minidl.tensor(rng.normal(size=p.shape) * 10.0 ** rng.integers(-3, 3))
    before = clip_grad_norm_(parameters, max_norm, norm_type).item()
    after = clip_grad_norm_(parameters, math.inf, norm_type).item()
    assert after <= max_norm * (1 + 1e-12)
    assert after == pytest.approx(min(before, max_norm), rel=1e-2, abs=1e-6)


# Errors.


@pytest.mark.parametrize("max_norm", [-1, NAN, "a", None])
def test_bounds_are_not_negative(max_norm):
    with pytest.raises(ArgumentError, match="clip_grad_norm_: max_norm is a number ≥ 0"):
        clip_grad_norm_([], max_norm)
    with pytest.raises(ArgumentError, match="clip_grad_value_: clip_value is a number ≥ 0"):
        clip_grad_value_([], max_norm)


@pytest.mark.parametrize("norm_type", [0, -1, NAN])
def test_norms_have_a_positive_order(norm_type):
    with pytest.raises(ArgumentError, match="clip_grad_norm_: norm_type is a number above 0"):
        clip_grad_norm_([], 1.0, norm_type)


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
@pytest.mark.parametrize(
    "wrong", [np.ones(3), ("weight", nn.Parameter(1.0)), nn.Parameter(1.0) * 2]
)
def test_what_is_no_parameter_is_refused(clip, wrong):
    with pytest.raises(GradientError, match="parameters are leaf tensors; got"):
        clip([wrong], 1.0)


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
def test_an_exhausted_iterator_is_refused(clip):
    parameters = nn.Linear(2, 2).parameters()
    clip(list(parameters), 1.0)
    with pytest.raises(ArgumentError, match=f"{clip.__name__}: the iterator gives no parameters"):
        clip(parameters, 1.0)
    clip([], 1.0)
    assert clip_grad_norm_((), 1.0) == 0


def test_gradients_cut_at_infinity_stay():
    w = minidl.zeros((3,), requires_grad=True)
    w.grad = minidl.tensor([3.0, -1e30, math.inf])
    optim.clip_grad_value_([w], math.inf)
    assert w.grad.tolist() == np.float32([3.0, -1e30, math.inf]).tolist()


def test_the_norm_of_float16_gradients_is_computed_in_float32():
    p = minidl.zeros(100_001, dtype="float16", requires_grad=True)
    p.grad = minidl.asarray(np.append(np.full(100_000, 1e-2, "float16"), np.float16(1)))
    exact = np.linalg.norm(np.asarray(p.grad, "float64"))
    np.testing.assert_allclose(optim.clip_grad_norm_([p], 1e9).item(), exact, rtol=1e-3)
