"""vmap: functions of one example as functions of batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.errors import ArgumentError, AxisError, DTypeError, ShapeError
from tests.bad_input import call, every_spoilt, real
from tests.helpers import assert_close
from tests.oracle import torch
from tests.parity import random

X, Y, W = random(4, 3, seed=1), random(5, 4, seed=2), random(3, 5)


def same(function, in_axes, out_axes, *arrays):
    """What minidl's vmap gives, once it is what PyTorch's gives."""
    ours = minidl.vmap(function(minidl), in_axes, out_axes)(*map(minidl.asarray, arrays))
    theirs = torch.func.vmap(function(torch), in_axes, out_axes)(*map(torch.tensor, arrays))
    pairs = [(ours, theirs)] if isinstance(ours, minidl.Tensor) else zip(ours, theirs, strict=True)
    for mine, their in pairs:
        assert_close(mine.detach(), their.numpy(), 1e-12)


def test_slices_of_any_axis_are_pytorchs():
    product = lambda library: lambda x, y: library.sin(x) * y.sum()
    same(product, 0, 0, X, Y[:4])
    same(product, (0, 1), 1, X, Y)
    same(product, (0, -1), -1, X, Y)
    same(product, (None, 1), 0, X, Y)
    several = lambda library: lambda x, y: (x @ y, library.exp(x))
    same(several, (0, None), (0, 1), X, W)
    same(several, (0, None), 0, X, W)


@given(st.integers(1, 4), st.integers(0, 2), st.integers(0, 2))
def test_every_axis_goes_in_and_comes_out(n, in_axis, out_axis):
    x = np.moveaxis(random(n, 2, 3), 0, in_axis)
    y = minidl.vmap(lambda x: x * 2, in_axis, out_axis)(x)
    np.testing.assert_array_equal(y, np.moveaxis(x * 2, in_axis, out_axis))


def test_gradients_of_each_example():
    loss = lambda library: lambda w, x, y: ((library.tanh(x @ w) - y) ** 2).sum()
    ours = minidl.vmap(minidl.grad(loss(minidl)), (None, 0, 1))(W, X, Y)
    arrays = map(torch.tensor, (W, X, Y))
    theirs = torch.func.vmap(torch.func.grad(loss(torch)), (None, 0, 1))(*arrays)
    assert ours.shape == (4, 3, 5)
    assert_close(ours, theirs.numpy(), 1e-10)


def test_derivatives_through_it():
    rows, w = random(4, 3, seed=1), random(3, seed=5)
    batched = lambda w: minidl.vmap(lambda x, w: minidl.sin(x * w).sum(), (0, None))(rows, w)
    theirs = lambda w: torch.sin(torch.tensor(rows) * w).sum(1)
    of, at = torch.autograd.functional, torch.tensor(w)
    assert_close(minidl.jacobian(batched)(w), of.jacobian(theirs, at).numpy(), 1e-10)
    total, their_total = (lambda w, f=f: f(w).sum() for f in (batched, theirs))
    assert_close(minidl.grad(total)(w), of.jacobian(their_total, at).numpy(), 1e-10)
    assert_close(minidl.hessian(total)(w), of.hessian(their_total, at).numpy(), 1e-10)


def test_the_gradient_of_a_batch_by_backward():
    x = minidl.tensor(X, requires_grad=True)
    minidl.vmap(lambda row: (row**2).sum())(x).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * X)


def test_inside_itself_and_jacobians_of_each_example():
    outer = minidl.vmap(minidl.vmap(lambda a, b: a * b, (None, 0)), (0, None))
    np.testing.assert_allclose(outer(X[0], Y[0]), np.outer(X[0], Y[0]))
    each = minidl.vmap(minidl.jacobian(lambda x: x**2))(X)
    np.testing.assert_allclose(each, [np.diag(2 * row) for row in X])


def test_tuples_go_in_and_come_out_as_they_are_nested():
    f = lambda pair, scale, *, shift: ((pair[0] + shift, pair[1]), (pair[0] @ scale,))
    run = minidl.vmap(f, ((0, 1), None), ((0, 1), 0))
    (first, second), (third,) = run((X, Y), W, shift=1.0)
    np.testing.assert_allclose(first, X + 1)
    np.testing.assert_allclose(second, Y)
    np.testing.assert_allclose(third, X @ W)
    same_axis = minidl.vmap(lambda pair: pair[0] + pair[1])((X, X))
    np.testing.assert_allclose(same_axis, 2 * X)


def test_each_slice_has_random_numbers_of_its_own():
    y = minidl.vmap(lambda x: x + minidl.random.uniform(3))(np.zeros((4, 3), "float32"))
    assert len({*map(tuple, y.tolist())}) == 4


@pytest.mark.parametrize(
    ("run", "error", "words"),
    [
        (lambda: minidl.vmap(3), DTypeError, "vmap: needs a function"),
        (lambda: minidl.vmap(minidl.add)(X, Y), ShapeError, "4 of argument 0, 5 of argument 1"),
        (lambda: minidl.vmap(minidl.exp, None)(X), ShapeError, "in_axes=None"),
        (lambda: minidl.vmap(minidl.exp)(X[:0]), ShapeError, "0 of argument 0"),
        (lambda: minidl.vmap(minidl.exp)(), ShapeError, "in_axes=0"),
        (lambda: minidl.vmap(minidl.exp, 2)(X), AxisError, "vmap: argument 0"),
        (lambda: minidl.vmap(minidl.exp, "x")(X), DTypeError, "vmap: argument 0"),
        (lambda: minidl.vmap(minidl.exp, 0, 2)(X), AxisError, "vmap: out_axes"),
        (lambda: minidl.vmap(minidl.exp, 0, None)(X), DTypeError, "vmap: out_axes"),
        (lambda: minidl.vmap(minidl.exp)(3.0), AxisError, "vmap: argument 0"),
        (lambda: minidl.vmap(minidl.exp)("text"), DTypeError, "vmap: argument 0"),
        (lambda: minidl.vmap(minidl.exp, (0, 0))(X), ArgumentError, "in_axes .* is for 2; got 1"),
        (lambda: minidl.vmap(lambda x: 3.0)(X), DTypeError, "vmap: f gives tensors"),
        (lambda: minidl.vmap(lambda x: (x, x), 0, (0,))(X), ArgumentError, "out_axes"),
        (
            lambda: minidl.vmap(lambda x: x[: int(x[0] > 0) + 1])(X),
            ShapeError,
            "vmap: f gives tensors of one shape",
        ),
    ],
)
def test_bad_input(run, error, words):
    with pytest.raises(error, match=words):
        run()


BAD = [
    call(minidl.vmap, minidl.exp),
    call(minidl.vmap(minidl.add), real(3, 4), real(3, 4), names=["vmap", "add"]),
]


@every_spoilt(BAD)
def test_spoilt_arguments(spoilt):
    spoilt.check()
