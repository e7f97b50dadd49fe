"""Gradients of complex numbers, in PyTorch's convention: ∂L/∂Re + i·∂L/∂Im.

Operations one by one are in `tests.ops.test_complex_operations`.
"""

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.errors import DTypeError, GradientError
from tests.helpers import assert_all_close, assert_close
from tests.ops.test_complex_operations import two_derivatives
from tests.oracle import torch


def complex_numbers(*shape, seed=0, dtype="complex128"):
    rng = np.random.default_rng([seed, *shape])
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)


# Functions that are not in the table for complex numbers, and numbers of both kinds that meet.

FUNCTIONS = {
    "imag": lambda xp, z, x: xp.imag(z * z * x),
    "real of what was real": lambda xp, z, x: xp.real(z * x) * x,
    "conj": lambda xp, z, x: xp.conj(z) * z * z,
    "abs cubed": lambda xp, z, x: xp.abs(z * x) ** 3,
    "sign": lambda xp, z, x: (xp.sign if xp is minidl else torch.sgn)(z) * x,
    "a real base": lambda xp, z, x: (1 + x * x) ** z,
    "a number with an i": lambda xp, z, x: (x + 2j) * (3 - 1j * z),
    "broadcast": lambda xp, z, x: (z[:, None] * x).sum() + (x[:, None] / z),
    "a real matrix": lambda xp, z, x: (xp.outer(x, x) + 0j * x) @ z,
    "chosen": lambda xp, z, x: xp.where(x > 0, z * z, x + 0 * z),
    "twice": lambda xp, z, x: xp.exp(z) / (z + xp.conj(z) * x),
}


class Row:
    """What `two_derivatives` needs of a case."""

    def random(self, purpose):
        return np.random.default_rng(len(purpose))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_two_derivatives_of_what_is_not_holomorphic_equal_pytorch(name):
    function = FUNCTIONS[name]
    arrays = [complex_numbers(4), complex_numbers(4, seed=1).real.copy()]
    theirs = two_derivatives(torch, Row(), lambda z, x: function(torch, z, x), arrays)
    with minidl.higher_order():
        ours = two_derivatives(minidl, Row(), lambda z, x: function(minidl, z, x), arrays)
    assert_all_close(ours, theirs, 1e-10)


BRANCHED = ("sqrt", "log", "log2", "asin", "acos", "atan", "asinh", "acosh", "atanh", "log1p")


@pytest.mark.parametrize("name", BRANCHED)
def test_derivatives_in_every_quadrant_equal_pytorch(name):
    z = np.array([a + 1j * b for a in (-1.7, -0.4, 0.6, 2.1) for b in (-1.3, -0.3, 0.2, 1.9)])
    theirs = two_derivatives(torch, Row(), getattr(torch, name), [z])
    with minidl.higher_order():
        ours = two_derivatives(minidl, Row(), getattr(minidl, name), [z])
    assert_all_close(ours, theirs, 1e-10)


def test_the_gradient_is_the_direction_of_fastest_growth():
    z = minidl.tensor([3 + 4j], requires_grad=True)
    minidl.square(minidl.abs(z)).sum().backward()
    np.testing.assert_allclose(z.grad, [6 + 8j])
    minidl.square(minidl.abs(z)).sum().backward()
    np.testing.assert_allclose(z.grad, [12 + 16j])
    assert z.grad.dtype == minidl.complex64


def test_gradients_of_inner_tensors_are_seen_as_those_of_leaves():
    z = minidl.tensor([1 + 2j, 3 - 1j], dtype="complex128", requires_grad=True)
    w = z * z
    (of_w,) = minidl.gradients(minidl.real(w * 1j).sum(), [w], retain_graph=True)
    np.testing.assert_allclose(of_w, [-1j, -1j])
    (of_z,) = minidl.gradients(w, [z], [np.array([2j, 1 + 1j])])
    np.testing.assert_allclose(of_z, np.conj(2 * z.numpy()) * np.array([2j, 1 + 1j]))


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("recorded", [False, True])
def test_hooks_see_and_give_the_gradients_of_users(inner, recorded):
    seen = []
    with minidl.higher_order():
        z = minidl.tensor([1 + 2j], dtype="complex128", requires_grad=True)
        w = z * 1
        (w if inner else z).register_hook(lambda g: (seen.append(g.numpy()), g * 1j)[1])
        minidl.imag(w).sum().backward(create_graph=recorded)
    np.testing.assert_allclose(seen, [[1j]])
    np.testing.assert_allclose(z.grad.detach(), [-1])


# What is refused.


def test_a_gradient_starts_from_a_real_number():
    z = minidl.tensor(1 + 2j, requires_grad=True)
    for act in (lambda: (z * z).backward(), lambda: minidl.gradients(z * z, [z])):
        with pytest.raises(
            GradientError, match=r"starts from a real number.*complex64.*real, imag"
        ):
            act()
    for derivative in (minidl.grad, minidl.value_and_grad):
        with pytest.raises(GradientError, match=r"grad: .*real number"):
            derivative(lambda z: z * z)(1 + 2j)
    with pytest.raises(GradientError, match=r"hvp: .*real number"):
        minidl.hvp(lambda z: z * z, (1 + 2j,), (1j,))
    for function in (minidl.jacobian, minidl.hessian):
        with pytest.raises(GradientError, match=r"jacobian: .*real numbers.*complex64"):
            function(lambda z: z * z)(minidl.tensor([1 + 2j]))


@minidl.primitive
def of_reals(xp, x, /):
    """y = x·|x|, whose pullback is for real numbers."""
    return x * xp.abs(x), lambda dy: 2 * dy * xp.abs(x)


@minidl.primitive(None)
def size_of_reals(xp, x, y, /):
    """Re y, with dtypes left as they are."""
    return xp.real(y), (None, lambda dy: dy)


def test_operations_of_users_refuse_complex_gradients_unless_they_say_otherwise():
    z = minidl.tensor([1 + 2j], requires_grad=True)
    for act in (lambda: of_reals(z), lambda: size_of_reals(minidl.ones(1), z)):
        with pytest.raises(GradientError, match=r"reals.*complex64.*has no gradient of complex"):
            act()
    np.testing.assert_allclose(of_reals(z.detach()), [(1 + 2j) * 5**0.5], rtol=1e-6)
    with minidl.no_grad():
        assert not of_reals(z).requires_grad
    x = minidl.ones(1, requires_grad=True)
    with pytest.raises(GradientError, match=r"reals.*complex64.*has no gradient of complex"):
        of_reals(x * 1j)
    assert not (z == z).requires_grad
    assert not minidl.isfinite(z).requires_grad


def test_dtypes_that_have_no_gradients():
    with pytest.raises(GradientError, match=r"float and complex tensors; this one is int64"):
        minidl.arange(3).requires_grad_()
    z = minidl.tensor([1j], requires_grad=True)
    with pytest.raises(DTypeError, match=r"imaginary part would go"):
        z.astype("float32")


def test_a_real_leaf_gets_a_real_gradient_through_astype():
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = x.astype("complex128") * (2 + 3j)
    minidl.imag(y).sum().backward()
    np.testing.assert_array_equal(x.grad, [3, 3])
    assert x.grad.dtype == minidl.float32


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.LBFGS, optim.Rprop])
def test_optimisers_refuse_complex_parameters(make):
    with pytest.raises(DTypeError, match=rf"{make.__name__}: parameters are floats.*complex128"):
        make([nn.Parameter(complex_numbers(3))])


@pytest.mark.parametrize("clip", [optim.clip_grad_norm_, optim.clip_grad_value_])
def test_clipping_refuses_complex_gradients(clip):
    with pytest.raises(DTypeError, match=rf"{clip.__name__}: parameters are floats.*complex128"):
        clip([nn.Parameter(complex_numbers(3))], 1.0)


# Derivatives of functions.


def holomorphic(xp, z):
    """From complex numbers to others."""
    return xp.exp(z) * z.sum() + 1 / z


def mixed(xp, z):
    """From complex numbers to others, and not along their derivative alone."""
    return xp.conj(z) * z * z + xp.abs(z)


@pytest.mark.parametrize("function", [holomorphic, mixed])
def test_products_with_jacobians_equal_pytorch(function):
    z, along = complex_numbers(3), complex_numbers(3, seed=1)
    y, pullback = minidl.vjp(lambda z: function(minidl, z), z)
    (found,) = pullback(along)
    of_torch = lambda z: function(torch, z)
    y_torch, pullback_torch = torch.func.vjp(of_torch, torch.from_numpy(z))
    (needed,) = pullback_torch(torch.from_numpy(along))
    assert_all_close([y, found], [y_torch, needed.resolve_conj()], 1e-12)
    y, moved = minidl.jvp(lambda z: function(minidl, z), (z,), (along,))
    tensors = torch.from_numpy(z), torch.from_numpy(along)
    y_torch, moved_torch = torch.autograd.functional.jvp(of_torch, *tensors)
    assert_all_close([y, moved], [y_torch, moved_torch.resolve_conj()], 1e-12)


def test_gradients_of_functions_equal_pytorch():
    def energy(xp, z):
        return (xp.abs(holomorphic(xp, z)) ** 2).sum()

    z, along = complex_numbers(3), complex_numbers(3, seed=1)
    leaf = torch.from_numpy(z).requires_grad_()
    needed = torch.func.grad(lambda z: energy(torch, z))(leaf.detach())
    found = minidl.grad(lambda z: energy(minidl, z))(z)
    assert_close(found, needed.resolve_conj(), 1e-12)
    value, jacobian = (
        energy(minidl, minidl.asarray(z)),
        minidl.jacobian(lambda z: energy(minidl, z))(z),
    )
    assert_close(jacobian, needed.resolve_conj(), 1e-12)
    theirs = torch.autograd.functional.hvp(
        lambda z: energy(torch, z), leaf, torch.from_numpy(along)
    )
    ours = minidl.hvp(lambda z: energy(minidl, z), (z,), (along,))
    assert_all_close([ours[0], *ours[1]], [t.detach().resolve_conj() for t in theirs], 1e-10)
    assert value.item() == pytest.approx(ours[0].item())


# Other ways through the engine.


def test_checkpoints_and_anomaly_detection_pass_complex_gradients_on():
    z = minidl.asarray(complex_numbers(3), requires_grad=True)
    function = lambda z: minidl.real(holomorphic(minidl, z)).sum()
    (needed,) = minidl.gradients(function(z), [z])
    (found,) = minidl.gradients(minidl.checkpoint(function, z), [z])
    np.testing.assert_array_equal(found, needed)
    with minidl.detect_anomaly():
        (found,) = minidl.gradients(function(z), [z])
    np.testing.assert_array_equal(found, needed)


def test_writes_into_complex_tensors_are_recorded():
    z = minidl.asarray(complex_numbers(3), requires_grad=True)
    x = minidl.ones((), requires_grad=True, dtype="float64")
    w = z * 1
    w[1] = x * (1 + 2j)
    minidl.imag(w * w).sum().backward()
    needed = np.conj(-2j * z.numpy())
    needed[1] = 0
    np.testing.assert_allclose(z.grad, needed)
    np.testing.assert_allclose(x.grad, 8)  # the slope of Im (1 + 2i)²·x²


def test_single_precision_is_kept():
    z = minidl.asarray(complex_numbers(3, dtype="complex64"), requires_grad=True)
    x = minidl.ones(3, requires_grad=True)
    minidl.abs(minidl.exp(z * x)).sum().backward()
    assert (z.grad.dtype, x.grad.dtype) == (minidl.complex64, minidl.float32)
