"""The kernels of ALS against a direct solution in float64."""

import numpy as np
import pytest
from scipy import sparse

import minidl
from minidl.backends.kernels.recommend.least_squares import BLOCK, padded, solve_rows


@pytest.fixture(autouse=True)
def _threads():
    before = minidl.get_num_threads()
    yield
    minidl.set_num_threads(before)


def problem(rows, columns, share, width, implicit, seed=0):
    rng = np.random.default_rng(seed)
    matrix = sparse.random_array((rows, columns), density=share, rng=rng, format="csr")
    weights = rng.uniform(0.5, 3, matrix.nnz).astype("float32")
    targets = rng.normal(size=matrix.nnz).astype("float32")
    table = np.zeros((columns, padded(width)), "float32")
    table[:, :width] = rng.normal(size=(columns, width)) * 0.3
    gram = table.T @ table if implicit else np.zeros((padded(width),) * 2, "float32")
    ridges = rng.uniform(0.3, 2, rows)
    entries = matrix.indptr.astype("int64"), matrix.indices.astype("int32"), weights, targets
    return entries, table, gram, ridges


def direct(entries, table, gram, ridges):
    indptr, indices, weights, targets = entries
    x = np.zeros((ridges.size, table.shape[1]))
    for row, ridge in enumerate(ridges):
        own = slice(indptr[row], indptr[row + 1])
        y = table[indices[own]].astype("float64")
        normal = gram.astype("float64") + ridge * np.eye(len(gram)) + (y.T * weights[own]) @ y
        x[row] = np.linalg.solve(normal, y.T @ targets[own].astype("float64"))
    return x


SIZES = [
    (7, 40, 0.0, 3),
    (30, 60, 0.1, 1),
    (30, 60, 0.4, 16),
    (9, 500, 0.9, 17),
    (20, 300, 0.5, 64),
]


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(("rows", "columns", "share", "width"), [*SIZES, (5, 400, 0.6, 100)])
def test_cholesky_solves_each_row(rows, columns, share, width, implicit):
    entries, table, gram, ridges = problem(rows, columns, share, width, implicit)
    x = np.full((rows, table.shape[1]), 7, "float32")
    solve_rows(entries, table, gram, ridges, x)
    np.testing.assert_allclose(x, direct(entries, table, gram, ridges), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(("rows", "columns", "share", "width"), SIZES)
def test_conjugate_gradients_converge_to_the_solution(rows, columns, share, width, implicit):
    entries, table, gram, ridges = problem(rows, columns, share, width, implicit)
    x = np.random.default_rng(1).normal(size=(rows, table.shape[1])).astype("float32")
    x[:, width:] = 0
    solve_rows(entries, table, gram, ridges, x, 3 * width + 20)
    np.testing.assert_allclose(x, direct(entries, table, gram, ridges), rtol=2e-4, atol=2e-5)


def conjugate_gradients(normal, b, x, steps):
    r = b - normal @ x
    p = r
    for _ in range(steps):
        rate = (r @ r) / (p @ normal @ p)
        x, before, r = x + rate * p, r, r - rate * (normal @ p)
        p = r + (r @ r) / (before @ before) * p
    return x


def test_each_step_is_one_of_conjugate_gradients():
    entries, table, gram, ridges = problem(6, 50, 0.5, 10, True)
    indptr, indices, weights, targets = entries
    start = np.zeros((6, table.shape[1]), "float32")
    start[:, :10] = np.random.default_rng(1).normal(size=(6, 10))
    for steps in range(4):
        x = start.copy()
        solve_rows(entries, table, gram, ridges, x, steps)
        for row in range(6):
            own = slice(indptr[row], indptr[row + 1])
            y = table[indices[own]].astype("float64")
            normal = gram + ridges[row] * np.eye(len(gram)) + (y.T * weights[own]) @ y
            expected = conjugate_gradients(normal, y.T @ targets[own], start[row], steps)
            np.testing.assert_allclose(x[row], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("steps", [None, 3])
def test_any_number_of_threads_gives_the_same_bits(steps):
    entries, table, gram, ridges = problem(200, 300, 0.3, 20, True)
    results = []
    for threads in (1, 2, 3, 7):
        minidl.set_num_threads(threads)
        x = np.zeros((200, table.shape[1]), "float32")
        solve_rows(entries, table, gram, ridges, x, steps)
        results.append(x)
    assert all(np.array_equal(results[0], x) for x in results)


@pytest.mark.parametrize("steps", [None, 8])
def test_long_rows_do_not_lose_digits(steps):
    """Constant factors, whose roundings all go in the same direction.

    A run of 32 then loses 8 u, and the matrix has the condition 6.5: 3e-6, for 128 entries as for
    half a million, which added up in float32 lose 1 %.
    """
    n = 4000 * BLOCK + 3
    table = np.zeros((1, padded(2)), "float32")
    table[0, :2] = 0.1, 0.7
    weights, targets = np.full(n, 1.1, "float32"), np.full(n, 0.3, "float32")
    entries = np.array([0, n]), np.zeros(n, "int32"), weights, targets
    gram, ridges = np.zeros((padded(2),) * 2, "float32"), np.full(1, n * 0.1)
    x = np.zeros((1, padded(2)), "float32")
    solve_rows(entries, table, gram, ridges, x, steps)
    expected = direct(entries, table, gram, ridges)
    assert np.linalg.norm(x - expected) < 3e-6 * np.linalg.norm(expected)


def test_a_pivot_that_rounding_makes_negative_is_the_ridge():
    """Two columns in proportion, and ridges below the rounding of the sums."""
    rng = np.random.default_rng(0)
    table = np.zeros((300, padded(2)), "float32")
    table[:, 0] = rng.normal(size=300)
    table[:, 1] = table[:, 0] / 3
    ones = np.ones(300, "float32")
    entries = np.arange(0, 301, 3), np.arange(300, dtype="int32"), ones, ones
    x = np.zeros((100, padded(2)), "float32")
    solve_rows(entries, table, np.zeros((padded(2),) * 2, "float32"), np.full(100, 1e-12), x)
    assert np.isfinite(x).all()
    scores = (table[:, :2].astype("float64") * np.repeat(x[:, :2], 3, axis=0)).sum(1)
    own = table[:, 0].astype("float64").reshape(100, 3)
    best = own * (own.sum(1) / np.square(own).sum(1))[:, None]
    worse = np.square(1 - scores.reshape(100, 3)).sum(1) - np.square(1 - best).sum(1)
    assert worse.max() < 1e-2
