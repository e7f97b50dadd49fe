"""Complex numbers made of real ones, and their angles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.errors import DTypeError, ShapeError
from tests.oracle import torch

PARTS = [0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, np.nan]


@given(st.sampled_from(PARTS), st.sampled_from(PARTS))
def test_both_parts_are_what_was_given(x, y):
    z = ops.complex(np.array([x]), np.array([y]))
    assert z.dtype == "complex128"
    for found, needed in ((ops.real(z), x), (ops.imag(z), y)):
        np.testing.assert_array_equal(found, [needed])
        assert np.signbit(np.asarray(found)) == np.signbit(needed) or np.isnan(needed)
    np.testing.assert_array_equal(ops.angle(z), np.angle(np.asarray(z)))
    with np.errstate(all="ignore"):
        needed = np.angle(np.array([x]))
    np.testing.assert_array_equal(ops.angle(np.array([x])), needed)


def test_dtypes_and_broadcasting():
    for dtype in ("float16", "float32"):
        assert ops.complex(np.ones(2, dtype), 1.0).dtype == "complex64"
    assert ops.complex(2, np.array([1, 2])).tolist() == [2 + 1j, 2 + 2j]
    assert ops.complex(np.ones((2, 1)), np.ones(3)).shape == (2, 3)
    with pytest.raises(DTypeError, match="complex"):
        ops.complex(np.array([1j]), 1.0)


def test_views_are_inverse_to_each_other():
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32")
    np.testing.assert_array_equal(ops.view_as_real(ops.view_as_complex(x)), x)
    np.testing.assert_array_equal(ops.view_as_complex(x), torch.view_as_complex(torch.tensor(x)))
    with pytest.raises(ShapeError, match="view_as_complex: needs a last axis of two"):
        ops.view_as_complex(x[..., :1])
    with pytest.raises(DTypeError, match="view_as_real: needs complex numbers"):
        ops.view_as_real(x)


def test_polar_is_the_inverse_of_abs_and_angle():
    z = np.random.default_rng(0).normal(size=(5, 2)) @ np.array([1, 1j])
    np.testing.assert_allclose(ops.polar(ops.abs(z), ops.angle(z)), z, rtol=1e-14)


def test_gradients_of_real_parts_follow_pytorchs_convention():
    def loss(library, x, y):
        z = library.polar(x, y) * library.complex(y, x)
        return (library.angle(z) ** 2 + library.abs(z)).sum()

    x, y = np.array([0.5, 2.0]), np.array([1.0, -0.3])
    ours = minidl.grad(lambda *xs: loss(ops, *xs), argnums=(0, 1))(x, y)
    leaves = [torch.tensor(v, requires_grad=True) for v in (x, y)]
    for found, needed in zip(ours, torch.autograd.grad(loss(torch, *leaves), leaves), strict=True):
        np.testing.assert_allclose(found, needed, rtol=1e-12)


def test_the_angle_has_no_gradient_at_0_and_none_of_reals():
    f = lambda x, y: ops.angle(ops.complex(x, y)).sum()
    assert [g.item() for g in minidl.grad(f, argnums=(0, 1))(np.zeros(1), np.zeros(1))] == [0, 0]
    assert minidl.grad(lambda x: ops.angle(x).sum())(np.array([-1.0, 0.0, 2.0])).tolist() == [0] * 3
