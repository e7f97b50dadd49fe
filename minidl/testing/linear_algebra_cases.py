"""Cases for linear algebra: products, factorisations, norms and distances."""

import numpy as np
from hypothesis import strategies as st

from minidl.testing.case_builder import CaseBuilder, Recipe
from minidl.testing.values import INSIDE, NONZERO


def matmul(d: CaseBuilder) -> None:
    """Vectors and matrices, and batches of them that broadcast."""
    kind = d.draw(st.sampled_from(["mm", "vm", "mv", "vv", "batch", "broadcast"]))
    m, k, n, batch = d.shape(4, 3)
    shapes = {
        "mm": ((m, k), (k, n)),
        "vm": ((k,), (k, n)),
        "mv": ((m, k), (k,)),
        "vv": ((k,), (k,)),
        "batch": ((batch, m, k), (batch, k, n)),
        "broadcast": ((batch, 1, m, k), (2, k, n)),
    }
    one, other = shapes[kind]
    d.array("x1", one)
    d.array("x2", other)


def outer(d: CaseBuilder) -> None:
    """Two vectors."""
    d.array("x1", d.shape(1))
    d.array("x2", d.shape(1))


def vecdot(d: CaseBuilder) -> None:
    """Two arrays of one shape."""
    shape = d.shape(d.integer(1, 3), 3)
    d.array("x1", shape)
    d.array("x2", shape)


def vector_norm(d: CaseBuilder) -> None:
    """Norms of nonzero vectors along an axis."""
    shape = d.shape(d.integer(1, 3), 3)
    d.setting("axis", st.sampled_from(range(len(shape))))
    d.setting("keepdims", st.booleans())
    d.setting("ord", (2, 3, 1))
    d.array("x", shape, NONZERO)


def _matrices(d: CaseBuilder) -> tuple[np.ndarray, tuple[int, ...]]:
    """Batches of square matrices, n ≤ 3, whose elements are multiples of 1/8."""
    batch, n = d.shape(d.integer(0, 1), 2), d.integer(1, 3)
    return d.elements((*batch, n, n), INSIDE), (*batch, n)


def _dominant(d: CaseBuilder) -> tuple[np.ndarray, tuple[int, ...]]:
    """Diagonally dominant matrices."""
    array, shape = _matrices(d)
    return array + 3 * np.eye(shape[-1], dtype=d.dtype), shape


def square(d: CaseBuilder) -> None:
    """x (…, n, n), far from singular."""
    d.argument("x", _dominant(d)[0])


def definite(d: CaseBuilder) -> None:
    """x (…, n, n), symmetric and positive definite."""
    array, shape = _matrices(d)
    d.argument("x", array @ array.swapaxes(-1, -2) + np.eye(shape[-1], dtype=d.dtype))


def trace(d: CaseBuilder) -> None:
    """x (…, n, m)."""
    d.setting("offset", st.integers(-1, 1))
    d.array("x", d.shape(d.integer(2, 3), 3))


def solve(d: CaseBuilder) -> None:
    """x1 (…, n, n), x2 (…, n, k)."""
    matrices, shape = _dominant(d)
    d.argument("x1", matrices)
    d.array("x2", (*shape, d.integer(1, 2)))


def solve_triangular(d: CaseBuilder) -> None:
    """x1 (…, n, n), of which one triangle is read, and x2 (…, n, k)."""
    d.setting("upper", (False, True))
    solve(d)


def cholesky_solve(d: CaseBuilder) -> None:
    """x1 (…, n, k), and x2 (…, n, n), of which one triangle is read."""
    d.setting("upper", (False, True))
    matrices, shape = _dominant(d)
    d.array("x1", (*shape, d.integer(1, 2)))
    d.argument("x2", matrices)


def variables(d: CaseBuilder) -> None:
    """x (m, n), n observations of m variables that vary."""
    m, n = d.integer(1, 3), d.integer(3, 5)
    d.array("x", (m, n), distinct=True)


def observations(d: CaseBuilder) -> None:
    """The same, with a correction."""
    d.setting("correction", (1, 0))
    variables(d)


def cdist(d: CaseBuilder) -> None:
    """x1 (…, m, k), x2 (…, n, k): no two points coincide."""
    d.setting("p", (2.0, 1.0, 3.0))
    *batch, m, n, k = d.shape(d.integer(3, 4), 3)
    first = d.elements((*batch, m, k), (), distinct=True)
    d.argument("x1", first)
    d.argument("x2", d.elements((*batch, n, k), (), distinct=True) + d.dtype.type(0.25))


def pdist(d: CaseBuilder) -> None:
    """Distinct points (n, k)."""
    d.setting("p", (2.0, 1.0, 3.0))
    d.array("x", d.shape(2, 4), distinct=True)


def pairwise_distance(d: CaseBuilder) -> None:
    """Two arrays of one shape, (n, k)."""
    d.setting("p", (2.0, 3.0))
    d.setting("keepdims", st.booleans())
    shape = d.shape(2, 3)
    d.array("x1", shape, distinct=True)
    d.argument("x2", d.elements(shape, (), distinct=True) + d.dtype.type(0.25))


def matrices(**settings: tuple) -> Recipe:
    """x (…, m, n)."""

    def recipe(d: CaseBuilder) -> None:
        for name, choices in settings.items():
            d.setting(name, choices)
        d.array("x", d.shape(d.integer(2, 3), 3))

    return recipe


def symmetric(d: CaseBuilder) -> None:
    """x (…, n, n), symmetric, with distinct eigenvalues."""
    definite(d)
    x = d.case.array("x")
    n = x.shape[-1]
    d.argument("x", x + 50 * np.diag(np.arange(n)).astype(d.dtype))


def invertible(**settings: tuple) -> Recipe:
    """x (…, n, n), far from singular."""

    def recipe(d: CaseBuilder) -> None:
        for name, choices in settings.items():
            d.setting(name, choices)
        square(d)

    return recipe


def cross(d: CaseBuilder) -> None:
    """Two arrays of vectors with three elements."""
    shape = (*d.shape(d.integer(0, 2), 3), 3)
    d.array("x1", shape)
    d.array("x2", shape)


def kron(d: CaseBuilder) -> None:
    """Two matrices."""
    d.array("x1", d.shape(2, 3))
    d.array("x2", d.shape(2, 3))


def normalize(d: CaseBuilder) -> None:
    """x divided by its norm along an axis."""
    shape = d.shape(d.integer(1, 3), 3)
    d.setting("p", (2.0, 3.0))
    d.setting("axis", st.sampled_from(range(len(shape))))
    d.array("x", shape, NONZERO)


def cosine_similarity(d: CaseBuilder) -> None:
    """Two arrays of one shape, of nonzero vectors."""
    shape = d.shape(d.integer(1, 3), 3)
    d.setting("axis", st.sampled_from(range(len(shape))))
    d.array("x1", shape, NONZERO)
    d.array("x2", shape, NONZERO)


RECIPES: dict[str, Recipe] = {
    "matmul": matmul,
    "outer": outer,
    "vecdot": vecdot,
    "trace": trace,
    "vector_norm": vector_norm,
    "inv": square,
    "det": square,
    "cholesky": definite,
    "solve": solve,
    "solve_triangular": solve_triangular,
    "cholesky_solve": cholesky_solve,
    "cond": invertible(p=("fro", None)),
    "lu": square,
    "matrix_exp": square,
    "cov": observations,
    "corrcoef": variables,
    "cdist": cdist,
    "pdist": pdist,
    "pairwise_distance": pairwise_distance,
    "slogdet": square,
    "adjugate": square,
    "matrix_power": invertible(n=(2, 0, 1, -1)),
    "eigvalsh": symmetric,
    "svdvals": symmetric,
    "pinv": square,
    "matrix_transpose": matrices(),
    "diagonal": matrices(offset=(0, 1, -1)),
    "diag_embed": matrices(offset=(0, 1, -1)),
    "rot90": matrices(k=(1, 0, 2, -1)),
    "cross": cross,
    "kron": kron,
    "normalize": normalize,
    "cosine_similarity": cosine_similarity,
}
