"""Order, segments, letters, distances and special functions, against PyTorch's and NumPy's."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from tests.helpers import assert_close
from tests.oracle import functional, torch
from tests.parity import assert_same, distinct, random
from tests.toy_backend import TOY

each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
each_axis = pytest.mark.parametrize("axis", [0, 1, -1])
X = distinct(3, 5, 4)
HOLES = X.copy()
HOLES[0, 1, 2] = HOLES[1, :, 1] = np.nan
BETWEEN = ["linear", "lower", "higher", "nearest", "midpoint"]


def both(name, *args, **settings):
    """minidl's and PyTorch's function of one name."""
    return (
        lambda *xs, library=library: getattr(library, name)(*xs, *args, **settings)
        for library in (ops, torch)
    )


# Order.


@each_axis
@pytest.mark.parametrize("largest", [True, False])
def test_topk(axis, largest):
    for k in (0, 1, 3):
        ours = lambda x, k=k: ops.topk(x, k, axis=axis, largest=largest)
        assert_same(ours, lambda x, k=k: torch.topk(x, k, axis, largest), X)
    ours, theirs = (ops.topk(HOLES, 2, axis=axis), torch.topk(torch.tensor(HOLES), 2, axis))
    np.testing.assert_array_equal(ours[0], theirs[0])


@each_axis
@pytest.mark.parametrize("keepdims", [True, False])
def test_kthvalue(axis, keepdims):
    for k in (1, 3):
        ours = lambda x, k=k: ops.kthvalue(x, k, axis=axis, keepdims=keepdims)
        assert_same(ours, lambda x, k=k: torch.kthvalue(x, k, axis, keepdims), X)


@pytest.mark.parametrize("interpolation", BETWEEN)
@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
def test_quantiles_are_pytorchs(name, interpolation):
    for q, axis, keepdims in product(
        (0.13, [0.0, 0.25, 0.9, 1.0], []), (None, 0, -1), (True, False)
    ):
        settings = {"keepdims": keepdims, "interpolation": interpolation}
        ours = lambda x, q=q, a=axis, s=settings: getattr(ops, name)(x, q, axis=a, **s)
        theirs = lambda x, q=q, a=axis, k=keepdims: getattr(torch, name)(
            x, torch.tensor(q, dtype=x.dtype), a, k, interpolation=interpolation
        )
        assert_same(ours, theirs, X, second=False)
        assert_close(ours(HOLES), theirs(torch.tensor(HOLES)), 1e-12)


def test_quantiles_of_several_axes_are_numpys():
    assert_close(ops.quantile(X, 0.3, axis=(0, 2)), np.quantile(X, 0.3, axis=(0, 2)), 1e-12)
    assert_close(ops.median(X, axis=(2, 0)), np.median(X, axis=(2, 0)), 1e-12)
    assert math.isnan(ops.median(HOLES).item())


@pytest.mark.parametrize("q", [-0.01, 1.01, [0.5, 2.0], np.nan])
def test_a_quantile_is_of_a_share_from_0_to_1(q):
    for quantile in (ops.quantile, ops.nanquantile):
        reason = f"{quantile.__name__}: q lies between 0 and 1"
        with pytest.raises(minidl.errors.ArgumentError, match=reason):
            quantile(np.ones(3), q)


def test_a_quantile_of_an_axis_twice_is_refused():
    with pytest.raises(minidl.errors.ShapeError, match="quantile: an axis is named twice"):
        ops.quantile(np.ones((3, 3)), 0.5, axis=(0, -2))


def test_quantiles_between_infinities():
    x = np.array([1.0, np.inf, np.inf, np.inf])
    assert ops.quantile(x, [0, 0.5, 0.9, 1]).tolist() == [1, np.inf, np.inf, np.inf]


@each_axis
@pytest.mark.parametrize("name", ["max", "min"])
def test_running_extremes(name, axis):
    ours = lambda x: getattr(ops, f"cumulative_{name}")(x, axis=axis)
    theirs = lambda x: tuple(getattr(torch, f"cum{name}")(x, axis))
    assert_same(ours, theirs, X)
    ties = np.where(np.isnan(HOLES), HOLES, np.round(X / 2))
    for found, needed in zip(ours(ties), theirs(torch.tensor(ties)), strict=True):
        np.testing.assert_array_equal(found, needed)


@each_axis
def test_running_sums_of_exponentials(axis):
    ours = lambda x: ops.cumulative_logsumexp(x, axis=axis)
    assert_same(ours, lambda x: torch.logcumsumexp(x, axis), X * 100)
    endless = np.array([-np.inf, -np.inf, 1, np.inf, 2])
    assert ops.cumulative_logsumexp(endless).tolist() == [-np.inf, -np.inf, 1, np.inf, np.inf]


# Segments and counts.

IDS = np.array([2, 0, 2, 1, 0, 5])


@pytest.mark.parametrize(("name", "torchs", "of_none"), [
    ("sum", "sum", 0), ("mean", "mean", 0), ("max", "amax", -np.inf), ("min", "amin", np.inf),
])  # fmt: skip
@pytest.mark.parametrize("ties", [False, True])
def test_segments_are_pytorchs(name, torchs, of_none, ties):
    x = np.round(random(6, 3)) if ties else random(6, 3)

    def theirs(x):
        empty = torch.full((7, 3), float(of_none), dtype=x.dtype)
        ids = torch.tensor(IDS)[:, None].expand(6, 3)
        y = empty.scatter_reduce(0, ids, x, torchs, include_self=False)
        return torch.where(torch.isinf(y), 0, y)

    def ours(x):
        y = getattr(ops, f"segment_{name}")(x, IDS, 7)
        return ops.where(ops.isinf(y), 0, y)

    assert_same(ours, theirs, x, second=not ties)
    assert getattr(ops, f"segment_{name}")(x, IDS)[3].tolist() == [of_none] * 3


def test_segments_of_integers_and_nan():
    for dtype in ("uint8", "int8", "int64"):
        x, limits = np.arange(6).astype(dtype), np.iinfo(dtype)
        assert ops.segment_max(x, IDS).tolist() == [4, 3, 2, limits.min, limits.min, 5]
        assert ops.segment_min(x, IDS).tolist() == [1, 3, 0, limits.max, limits.max, 5]
        assert ops.segment_max(x, IDS).dtype == dtype
    x = np.array([1, 2, np.nan, 4, 5, 6])
    for extreme in (ops.segment_max, ops.segment_min):
        assert np.isnan(extreme(x, IDS)[[0, 1, 2]].numpy()).tolist() == [False, False, True]


def test_segments_of_nothing():
    nothing = np.zeros((0, 2)), np.zeros(0, int)
    assert ops.segment_sum(*nothing).shape == (0, 2)
    assert ops.segment_max(*nothing, 2).tolist() == [[-np.inf] * 2] * 2


def test_segments_on_any_backend():
    x = ops.to_device(random(6, 3), TOY)
    y = ops.segment_max(x, ops.to_device(IDS, TOY), 7)
    assert_close(y.to_device("cpu"), ops.segment_max(random(6, 3), IDS, 7), 0)


@given(st.lists(st.integers(0, 6), max_size=12))
def test_one_hot_and_bincount_agree(ids):
    x = np.array(ids, dtype="int64")
    np.testing.assert_array_equal(ops.bincount(x, minlength=8), np.bincount(x, minlength=8))
    hot = ops.one_hot(x, 7)
    np.testing.assert_array_equal(hot, functional.one_hot(torch.tensor(x), 7))
    np.testing.assert_array_equal(hot.sum(axis=0), np.bincount(x, minlength=7))


def test_counts_are_wider_than_what_is_counted():
    y = ops.bincount(np.ones(300, "uint8"))
    assert (y.dtype, y.tolist()) == ("int64", [0, 300])


def test_bincount_sends_gradients_to_its_weights():
    weights = minidl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = ops.bincount(minidl.tensor([3, 0, 3]), weights)
    assert y.tolist() == [2, 0, 0, 4]
    (dw,) = minidl.gradients((y * y).sum(), [weights])
    assert dw.tolist() == [8, 4, 8]


@pytest.mark.parametrize("settings", [
    {}, {"bins": 4}, {"range": (0.0, 1.0)}, {"bins": [-1.0, 0.0, 0.5, 3.0]}, {"density": True},
    {"weights": random(3, 5, 4, seed=3)},
], ids=["plain", "bins", "range", "edges", "density", "weights"])  # fmt: skip
def test_histograms_are_numpys(settings):
    x = random(3, 5, 4)
    ours, theirs = (library.histogram(x, **settings) for library in (ops, np))
    for found, needed in zip(ours, theirs, strict=True):
        assert_close(found, needed, 1e-12)


# Letters.

EINSUMS = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("ii->i", (4, 4)),
    ("ii", (4, 4)),
    ("ji", (2, 3)),
    ("i,j->ji", (2,), (3,)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("...ij,...jk->...ik", (6, 1, 3, 4), (2, 4, 5)),
    ("b...i,bi->b...", (2, 3, 4, 5), (2, 5)),
    ("iij->j", (3, 3, 2)),
    ("ijij->", (2, 3, 2, 3)),
    ("ijk,ij,k->k", (2, 3, 4), (2, 3), (4,)),
    ("i,i,i->", (4,), (4,), (4,)),
    ("...->", (2, 3)),
    ("i...->...", (2, 3)),
    ("ij,kl->", (2, 3), (4, 5)),
    ("ik,kj,jl->il", (2, 3), (3, 4), (4, 5)),
    ("i,->i", (3,), ()),
    ("iji,j->i", (2, 3, 2), (3,)),
    ("ij,jk->ik", (3, 1), (4, 5)),
    (" i j , j -> i ", (3, 4), (4,)),
    ("ij,jk->ik", (3, 0), (0, 5)),
]


@pytest.mark.parametrize("subscripts", EINSUMS, ids=str)
def test_einsum_is_pytorchs(subscripts):
    text, *shapes = subscripts
    assert_same(*both_einsum(text), *(random(*shape, seed=i) for i, shape in enumerate(shapes)))


def both_einsum(text):
    return lambda *xs: ops.einsum(text, *xs), lambda *xs: torch.einsum(text, *xs)


@given(st.data())
def test_einsum_of_random_letters_is_numpys(data):
    lengths = dict(zip("abcd", (2, 3, 1, 4), strict=True))
    words = st.text("abcd", max_size=4)
    terms = data.draw(st.lists(words, min_size=1, max_size=3))
    letters = sorted({*"".join(terms)})
    output = "".join(data.draw(st.permutations(letters)))[: data.draw(st.integers(0, 4))]
    xs = [random(*(lengths[letter] for letter in term), seed=i) for i, term in enumerate(terms)]
    text = f"{','.join(terms)}->{output}"
    assert_close(ops.einsum(text, *xs), np.asarray(np.einsum(text, *xs)), 1e-12)


def test_einsum_of_bools_is_numpys():
    x, y = np.random.default_rng(0).random((2, 3, 3)) < 0.4
    for text in ("ij,jk->ik", "ij,ij->", "ij,ij->j", "ij,kj->"):
        found = ops.einsum(text, x, y)
        assert found.dtype == "bool"
        np.testing.assert_array_equal(found, np.einsum(text, x, y))
    assert ops.einsum("ij->i", x).tolist() == x.any(axis=1).tolist()
    counts = np.ones((1, 256), "bool")  # which would be 0 in eight bits
    assert ops.einsum("ij,ij->", counts, counts).item() is True


def test_einsum_takes_small_products_first():
    """A chain of matrices, which from the left would make one of 10⁶ elements."""
    sizes = []
    matmul = ops.matmul
    column, row = np.ones((1000, 1)), np.ones((1, 1000))
    ops.matmul = lambda a, b: (sizes.append(a.shape[0] * b.shape[-1]), matmul(a, b))[1]
    try:
        y = ops.einsum("ij,jk,kl->il", column, row, column)
        z = ops.einsum("ij,jk,k->i", np.ones((50, 60)), np.ones((60, 70)), np.ones(70))
    finally:
        ops.matmul = matmul
    np.testing.assert_array_equal(y, column * 1000)
    np.testing.assert_array_equal(z, np.full(50, 4200.0))
    assert max(sizes) <= 1000


def test_einsum_keeps_dtypes():
    for dtype in ("int32", "float32", "complex64"):
        x = np.ones((2, 3), dtype)
        assert ops.einsum("ij,kj->ik", x, x).dtype == ops.einsum("ij->", x).dtype == dtype


# Distances.


@pytest.mark.parametrize("p", [0, 0.5, 1, 1.5, 2, 3, math.inf])
def test_distances_of_pairs_are_pytorchs(p):
    x1, x2 = random(2, 4, 3), random(2, 5, 3)
    assert_same(*both("cdist", p), x1, x2, second=False)
    assert_same(*both("cdist", p), x1[0], x2, second=False)
    x1[0, 1] = x1[0, 0]  # a distance of 0
    assert_same(*both("cdist", p), x1, x1, second=False)
    ours = lambda x: ops.pdist(x, p)
    assert_same(ours, lambda x: functional.pdist(x, p), x1[0], second=False)


def test_distances_of_nothing():
    for shape in ((4, 0), (0, 3), (1, 3)):
        x = ops.ones(shape)
        assert ops.cdist(x, x).shape == (shape[0],) * 2
        assert ops.pdist(x).shape == (shape[0] * (shape[0] - 1) // 2,)


# Functions.


@each_dtype
@pytest.mark.parametrize("name", ["erfc", "erfinv", "lgamma", "sinc"])
def test_functions_are_pytorchs(name, dtype):
    x = np.random.default_rng(0).uniform(0.15, 0.95, (3, 4)).astype(dtype)
    assert_same(*both(name), x)


def test_functions_at_their_poles_and_ends():
    x = np.array([0.0, -0.0, -1.0, -2.5, 1.0, 171.0, np.inf, -np.inf, np.nan])
    for name in ("erfc", "erfinv", "lgamma", "digamma"):
        ours, theirs = getattr(ops, name)(x), getattr(torch, name)(torch.tensor(x))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-300)


def test_polygamma_by_its_recurrence():
    """ψ⁽ⁿ⁾(x + 1) = ψ⁽ⁿ⁾(x) + (−1)ⁿ n! / xⁿ⁺¹, and ψʹ(1) = π²/6."""
    x = np.linspace(0.3, 6, 9)
    for n in range(5):
        ahead = ops.polygamma(x, n).numpy() + (-1) ** n * math.factorial(n) / x ** (n + 1)
        np.testing.assert_allclose(ops.polygamma(x + 1, n), ahead, rtol=1e-12, atol=1e-12)
    assert abs(ops.polygamma(np.ones(1), 1).item() - math.pi**2 / 6) < 1e-14


def test_every_derivative_of_sinc_at_0():
    derivative, at = ops.sinc, minidl.tensor(0.0, dtype="float64")
    for order in range(5):
        needed = {0: 1, 2: -(math.pi**2) / 3, 4: math.pi**4 / 5}.get(order, 0)
        assert abs(derivative(at).item() - needed) < 1e-12
        derivative = minidl.grad(derivative)


@pytest.mark.parametrize("settings", [{}, {"nan": 2.0}, {"posinf": 3.0, "neginf": -4.0}], ids=str)
def test_nan_to_num(settings):
    for dtype in ("float32", "float64"):
        x = np.array([np.nan, np.inf, -np.inf, 1.5], dtype)
        y = ops.nan_to_num(x, **settings)
        np.testing.assert_array_equal(y, torch.nan_to_num(torch.tensor(x), **settings))
    assert ops.nan_to_num(np.array([1, 2])).tolist() == [1, 2]


# Layout.


@pytest.mark.parametrize("offset", [-2, 0, 1])
def test_diagonal_and_diag_embed_are_inverse(offset):
    ours, theirs = lambda x: ops.diag_embed(x, offset=offset), lambda x: torch.diag_embed(x, offset)
    assert_same(ours, theirs, X)
    assert_close(minidl.linalg.diagonal(ours(X), offset=offset), X, 0)


@pytest.mark.parametrize(
    "shapes", [((2, 3), (4, 5)), ((2,), (3, 4)), ((2, 3, 2), (2,)), ((), (2,))]
)
def test_kron(shapes):
    assert_same(*both("kron"), *(random(*shape) for shape in shapes))


@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (-1, 0)])
def test_rot90(axes):
    for k in (-1, 0, 1, 2, 3, 5):
        ours = lambda x, k=k: ops.rot90(x, k, axes=axes)
        assert_same(ours, lambda x, k=k: torch.rot90(x, k, axes), X)


@pytest.mark.parametrize("n", [None, 0, 1, 4])
def test_vander_is_numpys(n):
    x = random(5)
    for increasing in (False, True):
        assert_close(ops.vander(x, n, increasing=increasing), np.vander(x, n, increasing), 1e-14)


def test_gumbel_softmax_draws_by_probability():
    logits = ops.log(ops.asarray(np.tile([0.2, 0.5, 0.3], (20_000, 1))))
    y = ops.gumbel_softmax(logits, hard=True, key=(1, 0))
    np.testing.assert_allclose(y.mean(axis=0), [0.2, 0.5, 0.3], atol=0.015)
    assert set(np.unique(y)) <= {0, 1}
