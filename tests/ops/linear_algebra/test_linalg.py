"""minidl.linalg: results, edge cases and errors; derivatives are tested by tests/cases/."""

import inspect
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import linalg
from minidl.errors import ArgumentError, DTypeError, GradientError, ShapeError
from minidl.testing import gradcheck
from tests.helpers import Minidl, Torch, assert_all_close, assert_close, named
from tests.oracle import torch


def random(*shape, seed=0, dtype="float64"):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def definite(*shape, **settings):
    x = random(*shape, **settings)
    return x @ x.mT + np.eye(shape[-1], dtype=x.dtype)


def t(x):
    return minidl.asarray(x)


# What the standard says.

SIGNATURES = {
    "cholesky": "(x, /, *, upper=False)",
    "cross": "(x1, x2, /, *, axis=-1)",
    "det": "(x, /)",
    "diagonal": "(x, /, *, offset=0)",
    "eigh": "(x, /)",
    "eigvalsh": "(x, /)",
    "inv": "(x, /)",
    "matmul": "(x1, x2, /)",
    "matrix_norm": "(x, /, *, keepdims=False, ord='fro')",
    "matrix_power": "(x, /, n)",
    "matrix_rank": "(x, /, *, rtol=None)",
    "matrix_transpose": "(x, /)",
    "outer": "(x1, x2, /)",
    "pinv": "(x, /, *, rtol=None)",
    "qr": "(x, /, *, mode='reduced')",
    "slogdet": "(x, /)",
    "solve": "(x1, x2, /)",
    "svd": "(x, /, *, full_matrices=True)",
    "svdvals": "(x, /)",
    "tensordot": "(x1, x2, /, *, axes=2)",
    "trace": "(x, /, *, offset=0, dtype=None)",
    "vecdot": "(x1, x2, /, *, axis=-1)",
    "vector_norm": "(x, /, *, axis=None, keepdims=False, ord=2)",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_those_of_the_standard(name):
    signature = inspect.signature(getattr(linalg, name))
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    assert str(inspect.Signature(bare)) == SIGNATURES[name]


def test_results_are_named():
    x = t(definite(3, 3))
    assert linalg.eigh(x)._fields == ("eigenvalues", "eigenvectors")
    assert linalg.qr(x)._fields == ("Q", "R")
    assert linalg.slogdet(x)._fields == ("sign", "logabsdet")
    assert linalg.svd(x)._fields == ("U", "S", "Vh")


def test_the_main_namespace_has_what_the_standard_puts_there():
    for name in ("matmul", "matrix_transpose", "tensordot", "vecdot", "tril", "triu"):
        assert callable(getattr(minidl, name))
    for name in ("inv", "svd", "vector_norm", "check_square"):
        assert not hasattr(minidl, name)


def test_linalg_is_loaded_when_it_is_named():
    code = "import sys, minidl; assert 'minidl.linalg' not in sys.modules; minidl.linalg.inv"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", linalg.__all__)
def test_every_function_says_what_it_does(name):
    assert inspect.getdoc(getattr(linalg, name))


# Values against their definitions, for batches, views and empty arrays.

FACTORED = {
    "cholesky": (definite, lambda x: (lambda f: f @ f.mT)(linalg.cholesky(x))),
    "cholesky upper": (definite, lambda x: (lambda f: f.mT @ f)(linalg.cholesky(x, upper=True))),
    "eigh": (definite, lambda x: (lambda w, v: v * w[..., None, :] @ v.mT)(*linalg.eigh(x))),
    "qr": (random, lambda x: minidl.matmul(*linalg.qr(x))),
    "qr complete": (random, lambda x: minidl.matmul(*linalg.qr(x, mode="complete"))),
    "svd": (
        random,
        lambda x: (lambda u, s, vt: u * s[..., None, :] @ vt)(*linalg.svd(x, full_matrices=False)),
    ),
    "inv": (definite, lambda x: linalg.inv(linalg.inv(x))),
    "pinv": (random, lambda x: linalg.pinv(linalg.pinv(x))),
}
SHAPES = [(3, 3), (2, 3, 3), (2, 1, 4, 4), (1, 1), (0, 0), (2, 0, 0), (0, 3, 3)]
OBLONG = [(4, 2), (2, 4), (3, 2, 5), (0, 3), (3, 0), (0, 2, 3), (2, 0, 3)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "shape"),
    [(n, s) for n in FACTORED for s in SHAPES + OBLONG if FACTORED[n][0] is random or s in SHAPES],
)
def test_factors_multiply_to_the_matrix(name, shape, dtype):
    draw, product = FACTORED[name]
    x = draw(*shape, dtype=dtype)
    assert_close(product(t(x)), x, 1e-5 if dtype == "float32" else 1e-12)


OF_ONE = {
    "cholesky": linalg.cholesky,
    "eigh": linalg.eigh,
    "eigvalsh": linalg.eigvalsh,
    "qr": linalg.qr,
    "svd": linalg.svd,
    "svdvals": linalg.svdvals,
    "inv": linalg.inv,
    "det": linalg.det,
    "adjugate": linalg.adjugate,
    "slogdet": linalg.slogdet,
    "pinv": linalg.pinv,
    "matrix_rank": linalg.matrix_rank,
    "matrix_power": lambda x: linalg.matrix_power(x, 3),
    "matrix_norm": linalg.matrix_norm,
    "trace": linalg.trace,
    "diagonal": linalg.diagonal,
}
VIEWS = {
    "rows": lambda x: x,
    "columns": np.asfortranarray,
    "backwards": lambda x: np.ascontiguousarray(x[..., ::-1, ::-1])[..., ::-1, ::-1],
    "every other": lambda x: np.repeat(np.repeat(x, 2, axis=-1), 2, axis=-2)[..., ::2, ::2],
    "read-only": lambda x: np.broadcast_to(x, x.shape),
}


def arrays_of(result):
    return [np.asarray(x) for x in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", OF_ONE)
def test_batches_are_computed_matrix_by_matrix_in_any_layout(name, view):
    x = definite(2, 2, 3, 3)
    batch = arrays_of(OF_ONE[name](t(VIEWS[view](x))))
    for index in np.ndindex(2, 2):
        alone = arrays_of(OF_ONE[name](t(x[index])))
        assert_all_close([b[index] for b in batch], alone, 1e-12)


@pytest.mark.parametrize("shape", [(0, 0), (2, 0, 0), (0, 2, 2)])
@pytest.mark.parametrize("name", OF_ONE)
def test_empty_arrays_have_values_and_gradients(name, shape):
    x = minidl.zeros(shape, requires_grad=True)
    results = OF_ONE[name](x)
    results = results if isinstance(results, tuple) else (results,)
    assert all(y.shape[: len(shape) - 2] == shape[:-2] for y in results)
    for y in results:
        if y.requires_grad:
            (dx,) = minidl.gradients(y.sum(), [x], retain_graph=True)
            assert dx.shape == shape


def test_functions_of_matrices_of_no_elements():
    x = minidl.zeros((0, 0))
    assert linalg.det(x).item() == 1
    assert linalg.trace(x).item() == 0
    assert [y.item() for y in linalg.slogdet(x)] == [1, 0]
    assert linalg.matrix_rank(minidl.zeros((2, 3, 0))).numpy().tolist() == [0, 0]
    assert linalg.solve(x, minidl.zeros((0, 2))).shape == (0, 2)


@given(
    n=st.integers(1, 5),
    k=st.integers(1, 3),
    batch=st.sampled_from([(), (2,), (3, 1)]),
    seed=st.integers(0, 99),
)
def test_solutions_solve(n, k, batch, seed):
    a, b = definite(*batch, n, n, seed=seed), random(2, n, k, seed=seed)
    y = linalg.solve(a, b)
    np.testing.assert_allclose(a @ np.asarray(y), np.broadcast_to(b, y.shape), atol=1e-9)
    lower = linalg.solve_triangular(a, b, upper=False)
    np.testing.assert_allclose(
        np.tril(a) @ np.asarray(lower), np.broadcast_to(b, y.shape), atol=1e-9
    )


@given(m=st.integers(1, 5), n=st.integers(1, 5), rank=st.integers(0, 5), seed=st.integers(0, 99))
def test_rank_pseudo_inverse_and_least_squares(m, n, rank, seed):
    rank = min(m, n, rank)
    x, y = random(m, rank, seed=seed) @ random(rank, n, seed=seed), random(m, 2, seed=seed)
    found = linalg.lstsq(x, y, rtol=1e-10)
    assert linalg.matrix_rank(x, rtol=1e-10).item() == found.rank.item() == rank
    needed, *_ = np.linalg.lstsq(x, y, rcond=1e-10)
    np.testing.assert_allclose(found.solution, needed, atol=1e-6)
    np.testing.assert_allclose(found.residuals, ((x @ needed - y) ** 2).sum(0), atol=1e-6)
    p = np.asarray(linalg.pinv(x, rtol=1e-10))
    np.testing.assert_allclose(x @ p @ x, x, atol=1e-8)


def test_tolerances_may_differ_from_matrix_to_matrix():
    x = t(np.stack([np.diag([1.0, 0.1])] * 2))
    rtol = np.array([0.01, 0.5])
    assert linalg.matrix_rank(x, rtol=rtol).numpy().tolist() == [2, 1]
    assert linalg.matrix_rank(x, rtol=t(rtol)).numpy().tolist() == [2, 1]
    assert linalg.pinv(x, rtol=rtol).numpy()[:, 1, 1].tolist() == [10, 0]


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 7])
def test_matrix_power(n):
    x = definite(2, 3, 3)
    assert_close(linalg.matrix_power(x, n), np.linalg.matrix_power(x, n), 1e-10)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_where_they_have_a_meaning(dtype):
    x = np.arange(9).reshape(3, 3).astype(dtype)
    np.testing.assert_array_equal(linalg.trace(x), np.trace(x))
    assert linalg.trace(x).dtype == minidl.sum(t(x)).dtype
    assert linalg.trace(x, dtype="float64").dtype == "float64"
    assert linalg.diagonal(x).dtype == dtype
    if dtype != "bool":
        np.testing.assert_array_equal(linalg.tensordot(x, x), np.tensordot(x, x))
        np.testing.assert_array_equal(linalg.cross(x, x[::-1]), np.cross(x, x[::-1]))
        np.testing.assert_array_equal(linalg.outer(x[0], x[1]), np.outer(x[0], x[1]))


# Derivatives where they are special.


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: linalg.cholesky(x @ x.mT + np.eye(3)), (2, 3, 3)),
        (lambda x: linalg.eigh(x + x.mT).eigenvectors ** 2, (2, 3, 3)),
        (lambda x: linalg.eigh(x + x.mT).eigenvalues, (3, 3)),
        (lambda x: linalg.qr(x).Q, (2, 4, 3)),
        (lambda x: linalg.qr(x).R, (3, 5)),
        (lambda x: linalg.svd(x, full_matrices=False).Vh ** 2, (2, 3, 4)),
        (lambda x: linalg.svd(x).U ** 2, (3, 4)),
        (lambda x: linalg.slogdet(x).logabsdet, (2, 3, 3)),
        (linalg.inv, (2, 3, 3)),
        (linalg.det, (2, 3, 3)),
        (linalg.pinv, (2, 3, 2)),
        (lambda x: linalg.solve(x, x[..., 0, :, None]), (2, 3, 3)),
        (lambda x: linalg.lstsq(x[:, :2], x[:, 2]).solution, (4, 3)),
        (lambda x: linalg.matrix_norm(x, ord="nuc"), (2, 3, 4)),
        (lambda x: linalg.vector_norm(x, ord=3), (2, 3)),
    ],
    ids=named,
)
def test_two_derivatives_equal_differences(function, shape):
    assert gradcheck(function, random(*shape, seed=7), order=2)


def both_gradients(ours, theirs, x):
    """The gradient of a function at x in both libraries."""
    found = []
    for library, function in ((Minidl, ours), (Torch, theirs)):
        leaf = library.leaf(x)
        found.append(library.numpy(library.gradients(function(leaf), [leaf])[0]))
    return found


@pytest.mark.parametrize("x", [np.diag([2.0, 2, 5]), np.eye(3), np.zeros((3, 3))], ids=str)
def test_equal_eigenvalues_have_gradients_where_the_choice_of_vectors_does_not_matter(x):
    def trace_of_square(x):
        w, v = linalg.eigh(x)
        return (w * w).sum() + 0 * v.sum()

    dx = minidl.grad(trace_of_square)(t(x))
    np.testing.assert_allclose(dx, 2 * x, atol=1e-12)
    np.testing.assert_allclose(minidl.grad(lambda x: linalg.eigvalsh(x).sum())(t(x)), np.eye(3))
    np.testing.assert_allclose(minidl.grad(lambda x: linalg.svdvals(x).sum())(t(x)).mT @ x, x)


def test_equal_eigenvalues_have_no_gradient_where_the_choice_matters():
    x = np.eye(3)
    weights = random(3, 3)
    dx = minidl.grad(lambda x: (linalg.eigh(x).eigenvectors * weights).sum())(t(x))
    assert not np.isfinite(dx.numpy()).all()


def test_gradient_of_the_determinant_of_singular_matrices():
    x = np.stack([np.diag([2.0, 3, 0]), np.diag([2.0, 0, 0]), np.zeros((3, 3))])
    x[0] = random(3, 3) @ x[0] @ random(3, 3, seed=1)
    ours, theirs = both_gradients(
        lambda x: linalg.det(x).sum(), lambda x: torch.linalg.det(x).sum(), x
    )
    assert np.abs(theirs[0]).max() > 0.1
    assert_close(ours, theirs, 1e-9)


@pytest.mark.parametrize("order", [0, 0.5, 1, 1.5, 2, 3, math.inf])
def test_vector_norms_at_0_equal_pytorch(order):
    for x in (np.array([0.0, 3, 0, -4]), np.zeros(2)):
        ours, theirs = both_gradients(
            lambda x: linalg.vector_norm(x, ord=order),
            lambda x: torch.linalg.vector_norm(x, ord=order),
            x,
        )
        assert_close(ours, theirs, 1e-12)


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_matrix_norms_have_the_requested_shape(ord):
    x = random(2, 3, 4)
    assert_close(linalg.matrix_norm(x, ord=ord), np.linalg.matrix_norm(x, ord=ord), 1e-12)
    kept = linalg.matrix_norm(x, ord=ord, keepdims=True)
    assert_close(kept, np.linalg.matrix_norm(x, ord=ord, keepdims=True), 1e-12)


def test_gradients_of_what_full_matrices_add_are_ignored():
    x = t(random(4, 2))
    assert not minidl.grad(lambda x: linalg.svd(x).U[:, 2:].sum())(x).numpy().any()


def test_gradients_that_do_not_exist_are_refused():
    x = minidl.tensor(random(4, 2), requires_grad=True)
    with pytest.raises(GradientError, match='mode="complete" of 4 rows and 2 columns'):
        linalg.qr(x, mode="complete").R.sum().backward()
    singular = minidl.zeros((2, 2), requires_grad=True)
    with pytest.raises(ArgumentError, match="singular"):
        linalg.slogdet(singular).logabsdet.backward()


def test_sign_and_rank_are_constants():
    x = minidl.tensor(random(3, 3), requires_grad=True)
    assert not linalg.slogdet(x).sign.requires_grad
    assert not linalg.matrix_rank(x).requires_grad


# Complex and half-precision values.


@pytest.mark.parametrize("name", sorted(set(OF_ONE) - {"adjugate"}))
def test_complex_values(name):
    x = random(2, 3, 3) + 1j * random(2, 3, 3, seed=1)
    x = x @ x.conj().mT + np.eye(3)
    of_numpy = {"matrix_power": lambda x: np.linalg.matrix_power(x, 3)}
    needed = of_numpy.get(name) or getattr(np.linalg, name)
    assert_all_close(arrays_of(OF_ONE[name](t(x))), arrays_of(needed(x)), 1e-12)


def test_products_of_complex_vectors():
    x, y = random(2, 3) + 1j * random(2, 3, seed=1), random(2, 3, seed=2) + 1j
    assert_close(linalg.vecdot(x, y), np.linalg.vecdot(x, y), 1e-12)
    assert_close(
        linalg.adjugate(np.diag(x[0])), np.linalg.det(np.diag(x[0])) * np.diag(1 / x[0]), 1e-12
    )
    assert_close(linalg.vector_norm(x), np.linalg.vector_norm(x), 1e-12)


def test_half_precision_is_computed_in_float32():
    x = definite(3, 3, dtype="float16")
    assert_close(linalg.inv(x), np.linalg.inv(x.astype("float32")).astype("float16"), 0)
    assert {y.dtype.name for y in linalg.svd(x)} == {"float16"}


# Bad input.


@pytest.mark.parametrize(
    "name", ["cholesky", "eigh", "eigvalsh", "inv", "det", "slogdet", "adjugate"]
)
def test_matrices_that_are_not_square_are_refused(name):
    for shape in ((), (3,), (2, 3), (4, 2, 3)):
        with pytest.raises(
            ShapeError, match=rf"^{name}.*needs square.*{'.*'.join(map(str, shape))}"
        ):
            getattr(linalg, name)(np.zeros(shape))


OF_INTEGERS = {"trace", "diagonal", "matrix_power", "matrix_rank"}


@pytest.mark.parametrize("name", sorted(set(OF_ONE) - OF_INTEGERS))
def test_integers_are_refused(name):
    with pytest.raises(DTypeError, match=rf"{name}.*floating-point.*int64"):
        OF_ONE[name](np.eye(3, dtype="int64"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("place", list(np.ndindex(3, 3)))
def test_the_determinant_of_nan_is_nan(place, dtype):
    for fill in (random(3, 3), np.ones((3, 3)), np.zeros((3, 3))):
        x = np.stack([fill, np.eye(3)]).astype(dtype)
        x[0][place] = np.nan
        for y in (linalg.det(x), *linalg.slogdet(x)):
            assert np.isnan(np.asarray(y)).tolist() == [True, False]
        assert linalg.det(x).dtype == dtype


@pytest.mark.parametrize("place", list(np.ndindex(3, 3)))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_eigenvalues_of_what_is_not_finite_are_refused(place, value):
    x = np.diag([0.0, 1.0, 2.0])
    x[place] = value
    batch = np.stack([np.eye(3), x])
    for function in (linalg.eigh, linalg.eigvalsh):
        if place[0] < place[1]:  # which is not read
            assert np.isfinite(arrays_of(function(batch))[0]).all()
        else:
            with pytest.raises(
                ArgumentError, match=r"matrix \(1,\) of .* has NaN or infinity in it"
            ):
                function(batch)


def faulty(*shape, at):
    x = definite(*shape)
    x[at] = 0
    return x


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            linalg.cholesky,
            "cholesky: matrix (1, 0) of float64 (2, 2, 3, 3) is not positive definite",
        ),
        (linalg.inv, "inv: matrix (1, 0) of float64 (2, 2, 3, 3) is singular"),
        (lambda x: linalg.solve(x, minidl.ones(3)), "solve: matrix (1, 0) of float64 (2, 2, 3, 3)"),
        (lambda x: linalg.solve_triangular(x, minidl.ones((3, 5)), upper=True), "is singular"),
        (lambda x: linalg.matrix_power(x, -1), "is singular"),
        (lambda x: linalg.inv(x[1, 0]), "inv: matrix of float64 (3, 3) is singular"),
    ],
    ids=named,
)
def test_faulty_matrices_are_named(function, message):
    with pytest.raises(ArgumentError) as caught:
        function(t(faulty(2, 2, 3, 3, at=(1, 0))))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["svd", "svdvals", "pinv"])
def test_nan_is_an_error_where_nothing_converges(name):
    with pytest.raises(ArgumentError, match=rf"^{name}: matrix \(1,\) of .* NaN or infinity"):
        getattr(linalg, name)(faulty(2, 3, 3, at=1) + np.array([0, np.nan]).reshape(2, 1, 1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: linalg.qr(minidl.ones((2, 2)), mode="r"), ArgumentError, 'qr: mode is "reduced"'),
        (lambda: linalg.qr(minidl.ones(2)), ShapeError, "qr: needs a matrix"),
        (lambda: linalg.solve(minidl.ones((2, 2)), minidl.ones(3)), ShapeError, r"solve.*\(3,\)"),
        (lambda: linalg.solve(minidl.ones((2, 2)), minidl.ones(())), ShapeError, "solve.*needs"),
        (lambda: linalg.outer(minidl.ones((2, 2)), minidl.ones(2)), ShapeError, "outer: .*vectors"),
        (lambda: linalg.cross(minidl.ones(2), minidl.ones(2)), ShapeError, "cross: .*length 3"),
        (
            lambda: linalg.cross(minidl.ones((3, 3)), minidl.ones(3), axis=0),
            ShapeError,
            "no common",
        ),
        (lambda: linalg.vecdot(minidl.ones(2), minidl.ones(3)), ShapeError, "vecdot: lengths"),
        (lambda: linalg.vecdot(minidl.ones(2), minidl.ones(1)), ShapeError, "vecdot: lengths"),
        (lambda: linalg.vecdot(minidl.ones(2), minidl.ones(2), axis=1), ShapeError, "axis 1"),
        (lambda: linalg.tensordot(minidl.ones(2), minidl.ones(2)), ArgumentError, "not so many"),
        (
            lambda: linalg.tensordot(minidl.ones((2, 3)), minidl.ones((2, 3)), axes=1),
            ShapeError,
            "tensordot: .*lengths must agree",
        ),
        (
            lambda: linalg.tensordot(
                minidl.ones((2, 2)), minidl.ones((2, 2)), axes=((0, 0), (0, 1))
            ),
            ArgumentError,
            "named twice",
        ),
        (
            lambda: linalg.tensordot(minidl.ones(2), minidl.ones(2), axes=(1, 0)),
            ShapeError,
            "no such axes",
        ),
        (lambda: linalg.matrix_power(minidl.ones((2, 2)), 0.5), ArgumentError, "integer"),
        (lambda: linalg.matrix_norm(minidl.ones((2, 2)), ord=3), ArgumentError, "matrix_norm: ord"),
        (lambda: linalg.matrix_norm(minidl.ones(2)), ShapeError, "matrix_norm: needs a matrix"),
        (lambda: linalg.vector_norm(minidl.ones(2), ord="fro"), ArgumentError, "vector_norm: ord"),
        (lambda: linalg.vector_norm(minidl.ones(0), ord=math.inf), ShapeError, "max"),
        (lambda: linalg.vector_norm(minidl.arange(3)), DTypeError, "vector_norm: .*floating"),
        (lambda: linalg.diagonal(minidl.ones(2)), ShapeError, "diagonal: needs a matrix"),
        (lambda: linalg.matrix_rank(minidl.ones(2)), ShapeError, "needs a matrix"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("dtype", "powers"), [("float32", (-37, -30, 20, 37)), ("float64", (-307, -200, 200, 307))]
)
def test_norms_of_large_and_small_numbers_keep_their_digits(dtype, powers):
    for power in powers:
        x = (np.array([[3.0, -4.0], [1.0, 2.0]]) * 10.0**power).astype(dtype)
        exact = np.array([math.hypot(*row) for row in x.astype("longdouble").tolist()])
        tensor = minidl.tensor(x, requires_grad=True)
        norms = linalg.vector_norm(tensor, axis=1)
        np.testing.assert_allclose(norms.detach(), exact, rtol=4 * np.finfo(dtype).eps)
        norms.sum().backward()
        np.testing.assert_allclose(tensor.grad, x / exact[:, None], rtol=1e-5)
        np.testing.assert_allclose(minidl.normalize(x, eps=0), x / exact[:, None], rtol=1e-5)
        np.testing.assert_allclose(
            linalg.matrix_norm(x), math.hypot(*exact.tolist()), rtol=4 * np.finfo(dtype).eps
        )
    x = (np.ones((1, 3)) * 10.0 ** powers[-1]).astype(dtype)
    np.testing.assert_allclose(minidl.cosine_similarity(x, x), 1, rtol=1e-6)
