"""Eigenvalues, LU factors, exponentials and condition numbers of any matrices."""

import math

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import linalg
from minidl.errors import ArgumentError, DTypeError, ShapeError
from tests.helpers import assert_close
from tests.oracle import torch

DTYPES = ("float32", "float64", "complex64", "complex128")
TOLERANCE = {"float32": 1e-5, "float64": 1e-12, "complex64": 1e-5, "complex128": 1e-12}
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def random(*shape, seed=0, dtype="float64"):
    rng = np.random.default_rng([seed, *shape])
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


@each_dtype
@given(st.integers(0, 99), st.integers(0, 5))
def test_eigenvectors_are_only_stretched(dtype, seed, n):
    x = random(2, n, n, seed=seed, dtype=dtype)
    w, v = linalg.eig(x)
    wide = np.result_type(dtype, "complex64")
    assert w.dtype == v.dtype == wide
    left, right = x.astype(wide) @ np.asarray(v), np.asarray(v) * np.asarray(w)[:, None, :]
    np.testing.assert_allclose(left, right, rtol=0, atol=30 * TOLERANCE[dtype])
    np.testing.assert_allclose(np.linalg.norm(np.asarray(v), axis=-2), 1, rtol=1e-5)
    alone = np.sort_complex(np.asarray(linalg.eigvals(x)).round(3))
    np.testing.assert_allclose(alone, np.sort_complex(np.asarray(w).round(3)), atol=2e-3)


def test_real_eigenvalues_are_complex_numbers_too():
    assert linalg.eig(np.eye(2)).eigenvalues.dtype == "complex128"
    assert linalg.eigvals(np.eye(2, dtype="float16")).dtype == "complex64"
    assert linalg.eig(np.zeros((0, 0), "float32")).eigenvectors.dtype == "complex64"


def test_gradients_of_eig_are_those_of_eigh_and_of_the_trace_and_determinant():
    x = random(3, 3)
    symmetric = x + x.T
    of_eig = lambda x: minidl.real(linalg.eigvals(x) ** 3).sum()
    of_eigh = lambda x: (linalg.eigvalsh(x) ** 3).sum()
    assert_close(minidl.grad(of_eig)(symmetric), minidl.grad(of_eigh)(symmetric), 1e-12)
    trace = minidl.grad(lambda x: minidl.real(linalg.eigvals(x).sum()))(x)
    assert_close(trace, np.eye(3), 1e-12)
    product = minidl.grad(lambda x: minidl.real(minidl.prod(linalg.eigvals(x))))(x)
    assert_close(product, minidl.grad(linalg.det)(x), 1e-11)


def test_the_gradient_of_an_eigenvector_is_pytorchs_of_a_complex_matrix():
    z, weights = random(3, 3, dtype="complex128"), np.array([1.0, -2.0, 3.0])

    def loss(library, x):
        w, v = (linalg if library is minidl else torch.linalg).eig(x)
        sizes = library.abs(v) ** 2  # which do not depend on the phase
        total = (sizes * library.asarray(weights)[:, None] * library.abs(w)).sum()
        return total

    ours = minidl.tensor(z, requires_grad=True)
    loss(minidl, ours).backward()
    theirs = torch.tensor(z, requires_grad=True)
    loss(torch, theirs).backward()
    assert_close(ours.grad, theirs.grad.resolve_conj().numpy(), 1e-12)


@each_dtype
@given(st.integers(0, 99), st.integers(0, 4), st.integers(0, 4))
def test_lu_is_pytorchs(dtype, seed, m, n):
    x = random(2, m, n, seed=seed, dtype=dtype)
    found = linalg.lu(x)
    for one, other in zip(found, torch.linalg.lu(torch.tensor(x)), strict=True):
        assert_close(one, other.numpy(), TOLERANCE[dtype])
    product = np.asarray(found.P) @ np.asarray(found.L) @ np.asarray(found.U)
    np.testing.assert_allclose(product, x, rtol=0, atol=10 * TOLERANCE[dtype])


def test_lu_of_singular_matrices_and_float16():
    p, lower, upper = linalg.lu(np.array([[1.0, 2.0], [2.0, 4.0]]))
    assert (p @ lower @ upper).tolist() == [[1, 2], [2, 4]]
    assert all(part.dtype == "float16" for part in linalg.lu(np.ones((2, 2), "float16")))


def test_the_gradient_of_lu_of_complex_matrices_is_pytorchs():
    z = random(3, 3, dtype="complex128")

    def loss(library, x):
        _, lower, upper = (linalg if library is minidl else torch.linalg).lu(x)
        return (library.abs(lower) ** 2).sum() + library.real(upper * (1 + 2j)).sum()

    ours, theirs = minidl.tensor(z, requires_grad=True), torch.tensor(z, requires_grad=True)
    loss(minidl, ours).backward()
    loss(torch, theirs).backward()
    assert_close(ours.grad, theirs.grad.resolve_conj().numpy(), 1e-12)


@each_dtype
@pytest.mark.parametrize("scale", [1e-6, 0.1, 1.0, 10.0])
def test_exponentials_are_scipys(dtype, scale):
    x = random(3, 4, 4, dtype=dtype) * scale
    x[1] /= 1000  # each matrix of a batch is scaled by itself
    x = x.astype(dtype)
    needed = np.stack([scipy.linalg.expm(one.astype(np.result_type(dtype, float))) for one in x])
    for found, exact in zip(np.asarray(linalg.matrix_exp(x)), needed, strict=True):
        assert found.dtype == dtype
        assert np.abs(found - exact).max() <= 40 * TOLERANCE[dtype] * np.abs(exact).max()


@given(st.floats(-80, 80, allow_subnormal=False))
def test_exponentials_of_diagonals_and_nilpotents(x):
    assert linalg.matrix_exp(np.array([[x]])).item() == pytest.approx(math.exp(x), rel=1e-12)
    assert linalg.matrix_exp(np.array([[0.0, x], [0.0, 0.0]])).tolist() == [[1, x], [0, 1]]


def test_exponentials_of_other_inputs():
    assert linalg.matrix_exp(np.zeros((0, 2, 2))).shape == (0, 2, 2)
    assert linalg.matrix_exp(np.eye(2, dtype="float16")).dtype == "float16"
    assert np.isnan(np.asarray(linalg.matrix_exp(np.full((2, 2), np.nan)))).all()
    with pytest.raises(DTypeError, match="matrix_exp: needs floating-point numbers"):
        linalg.matrix_exp(np.eye(2, dtype=int))
    with pytest.raises(ShapeError, match="matrix_exp: needs square matrices"):
        linalg.matrix_exp(np.ones((2, 3)))


def test_the_derivative_of_an_exponential_is_scipys():
    x, direction = random(4, 4), random(4, 4, seed=1)
    _, found = minidl.jvp(linalg.matrix_exp, [x], [direction])
    assert_close(found, scipy.linalg.expm_frechet(x, direction)[1], 1e-12)


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"])
def test_condition_numbers_are_numpys(p):
    x = random(3, 4, 4)
    x[1, 0] = 0
    x[1, 1] = x[1, 2]  # singular to the last bit
    found, regular = np.asarray(linalg.cond(x, p)), [0, 2]
    np.testing.assert_allclose(found[regular], np.linalg.cond(x[regular], p), rtol=1e-10)
    assert max(found[1], 1 / found[1]) > 1e15
    if p in (None, 2, -2):
        assert_close(linalg.cond(x[:, :2], p), np.linalg.cond(x[:, :2], p), 1e-12)
    else:
        assert found[1] == np.inf
        with pytest.raises(ShapeError, match="cond: needs square matrices"):
            linalg.cond(x[:, :2], p)


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"])
def test_the_condition_number_of_zero_is_infinite(p):
    x = np.stack([np.zeros((2, 2)), np.diag([4.0, 2.0])])
    found = np.asarray(linalg.cond(x, p))
    assert found[0] == np.inf
    np.testing.assert_allclose(found[1], np.linalg.cond(x[1], p), rtol=1e-14)
    gradient = minidl.grad(lambda x: linalg.cond(x, p)[1])(minidl.asarray(x))
    assert np.isfinite(np.asarray(gradient)).all()


@pytest.mark.parametrize("fill", [np.eye(2), np.ones((2, 2))], ids=["eye", "ones"])
@pytest.mark.parametrize("place", list(np.ndindex(2, 2)))
def test_the_condition_number_of_nan_is_nan_or_refused(place, fill):
    x = np.stack([np.eye(2), fill])
    x[1][place] = np.nan
    for p in (1, -1, np.inf, -np.inf, "fro"):
        assert np.isnan(np.asarray(linalg.cond(x, p))).tolist() == [False, True]
    for p in (None, 2, -2, "nuc"):
        with pytest.raises(ArgumentError, match=r"matrix \(1,\) of .* has NaN or infinity in it"):
            linalg.cond(x, p)


def test_condition_numbers_refuse_other_norms_and_nothing():
    with pytest.raises(ArgumentError, match="ord is"):
        linalg.cond(np.eye(2), 3)
    with pytest.raises(ShapeError, match="cond: there is nothing in matrices of shape"):
        linalg.cond(np.zeros((2, 0)))


@each_dtype
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_solves_with_its_factor(dtype, upper):
    x, b = random(2, 3, 3, dtype=dtype), random(3, 2, dtype=dtype)
    a = x @ x.conj().swapaxes(-1, -2) + np.eye(3, dtype=dtype)
    factor = np.asarray(linalg.cholesky(a, upper=upper)) + (
        np.tril(np.full((3, 3), 7), -1) if upper else np.triu(np.full((3, 3), 7), 1)
    ).astype(dtype)  # the other triangle is not looked at
    found = linalg.cholesky_solve(b, factor, upper=upper)
    assert_close(found, np.linalg.solve(a, b), 100 * TOLERANCE[dtype])


def test_a_cholesky_factor_is_square_and_fits():
    with pytest.raises(ShapeError, match=r"needs \(…, n, k\) and a factor \(…, n, n\)"):
        linalg.cholesky_solve(np.ones(3), np.eye(3))
    with pytest.raises(ShapeError, match="cholesky_solve: needs square matrices"):
        linalg.cholesky_solve(np.eye(3), np.ones((3, 2)))
