"""RowGradient: what it holds, how it is coalesced and computed with, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
import tests.toy_backend
from minidl import RowGradient, nn
from minidl.backends import cpu
from minidl.backends.kernels import coalesce as kernels
from minidl.errors import BoundsError, DTypeError, GradientError, ShapeError
from tests.exactness import KINDS, excess, hostile
from tests.helpers import on_host, share_memory

SMALL = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


def small():
    return RowGradient([4, 1, 4], np.array(SMALL), (6, 2))


def here(gradient):
    """Rows of NumPy's on the default device."""
    return RowGradient(*map(minidl.asarray, (gradient.indices, gradient.rows)), gradient.shape)


DENSE = np.zeros((6, 2))
DENSE[4], DENSE[1] = [6, 8], [3, 4]


# Coalescing.


@given(
    n=st.integers(0, 60),
    size=st.sampled_from([1, 2, 5, 40, 2047, 2048, 2049, 2**22 + 1, 2**40]),
    row=st.lists(st.integers(0, 4), max_size=2).map(tuple),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
    integer=st.sampled_from(["int64", "int32", "uint64"]),
    backwards=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_equal_indices_get_the_sum_of_their_rows(n, size, row, dtype, integer, backwards, seed):
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, min(size, np.iinfo(integer).max), n).astype(integer)
    indices[n // 2 :] = indices[: n - n // 2]  # some twice
    rows = rng.integers(-9, 10, (n, *row)).astype(dtype)
    if backwards:
        indices, rows = indices[::-1], rows[::-1]
    found = RowGradient(indices, rows, (size, *row)).coalesce()
    distinct, places = np.unique(indices, return_inverse=True)
    sums = np.zeros((distinct.size, *row), dtype)
    np.add.at(sums, places, rows)
    np.testing.assert_array_equal(found.indices, distinct)
    np.testing.assert_array_equal(found.rows, sums, strict=True)
    assert found.is_coalesced
    assert not found.indices.flags.writeable
    assert found.coalesce() is found


@given(st.sampled_from(KINDS), st.sampled_from(["float16", "float32", "float64"]), st.data())
def test_sums_are_within_the_bound(kind, dtype, data):
    n, width, size = (data.draw(st.integers(1, most)) for most in (2000, 5, 4))
    rows, indices = hostile(kind, (n, width), dtype), np.arange(n) % size
    found = RowGradient(indices, rows, (size, width)).coalesce()
    for index, total in zip(found.indices, found.rows, strict=True):
        assert excess(total[None], rows[indices == index], axis=0) <= 1


@pytest.mark.parametrize("chunks", [2, 3, 7])
def test_any_number_of_threads_gives_the_same_bits(chunks, monkeypatch):
    rng = np.random.default_rng(0)
    indices, rows = rng.integers(0, 50, 900), rng.normal(size=(900, 7)).astype("float32")
    alone = cpu.coalesce(indices, rows, 50)
    monkeypatch.setattr(kernels.threads, "chunks", lambda _: chunks)
    for one, other in zip(cpu.coalesce(indices, rows, 50), alone, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("wrong", [-1, 6, 2**40])
def test_an_index_outside_the_table_is_refused(wrong):
    gradient = RowGradient([0, wrong, 5], np.ones((3, 2), "float32"), (6, 2))
    for use in (RowGradient.coalesce, RowGradient.dense, np.asarray):
        with pytest.raises(BoundsError, match=f"index {wrong} is outside 0 … 5"):
            use(gradient)
    table = nn.Parameter(minidl.ones((6, 2)))
    with pytest.raises(BoundsError, match="outside"):
        table.grad = here(gradient)
    assert table.grad is None


def test_nan_stays_in_its_row():
    rows = np.array([[np.nan], [1.0], [np.inf], [-np.inf], [2.0]])
    found = RowGradient([3, 1, 2, 2, 1], rows, (4, 1)).dense()
    np.testing.assert_array_equal(found, [[0], [3], [np.nan], [np.nan]])


# As an object.


def test_it_computes_as_the_dense_gradient_does():
    gradient = small()
    for found, expected in (
        (gradient.dense(), DENSE),
        (gradient.numpy(), DENSE),
        (np.asarray(gradient, "float32"), DENSE.astype("float32")),
        (minidl.asarray(gradient).numpy(), DENSE),
        ((gradient * 2).dense(), DENSE * 2),
        ((np.float64(0.5) * gradient).dense(), DENSE / 2),
        ((gradient / minidl.tensor(2.0)).dense(), DENSE / 2),
        ((-gradient).dense(), -DENSE),
        ((gradient + gradient).dense(), DENSE * 2),
        ((gradient - gradient * 3).dense(), DENSE * -2),
        (gradient - np.ones((6, 2)), DENSE - 1),
        (np.ones((6, 2)) - gradient, 1 - DENSE),
        (gradient + np.ones((6, 2)), DENSE + 1),
        (np.ones((6, 2)) + gradient, DENSE + 1),
        (gradient.astype("float32").rows, np.array(SMALL, "float32")),
    ):
        np.testing.assert_array_equal(found, expected, strict=True)
    assert (gradient.shape, gradient.ndim, gradient.dtype) == ((6, 2), 2, np.float64)
    assert repr(gradient + gradient) == "RowGradient(6 rows of (6, 2), float64)"
    halved = gradient.astype("float32") / np.float64(2)
    assert halved.dtype == "float32", "numbers are weak"


def test_tensors_and_other_devices_may_be_its_parts():
    of_tensors = RowGradient(minidl.tensor([4, 1, 4]), minidl.asarray(SMALL), (6, 2))
    np.testing.assert_array_equal(on_host(of_tensors.dense()), DENSE)
    toy = minidl.tensor([4, 1, 4], device=tests.toy_backend.TOY)
    rows = minidl.tensor(SMALL, device=tests.toy_backend.TOY)
    np.testing.assert_array_equal(RowGradient(toy, rows, (6, 2)).numpy(), DENSE)


def pickled(x):
    return pickle.loads(pickle.dumps(x))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_it_can_be_copied(copied):
    for gradient in (small(), small().coalesce(), small() + small()):
        other = copied(gradient)
        np.testing.assert_array_equal(other.dense(), gradient.dense())
        assert other.is_coalesced == gradient.is_coalesced


def test_pytorchs_names_are_answered_with_those_of_here():
    pairs = [("to_dense", "asarray"), ("values", "rows"), ("_indices", "indices")]
    pairs += [("is_sparse", "isinstance"), ("norm", "asarray.* is the whole"), ("mean", "asarray")]
    for name, ours in pairs:
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; .*{ours}"):
            getattr(small(), name)
    assert not hasattr(small(), "toarray")


def test_operations_take_it_as_the_dense_array():
    gradient = RowGradient(minidl.tensor([4, 1, 4]), minidl.asarray(SMALL, dtype="float64"), (6, 2))
    table = minidl.ones((6, 2), dtype="float64")
    for found, expected in (
        (table - 0.5 * gradient, 1 - DENSE / 2),
        (table * gradient, DENSE),
        (minidl.sum(gradient), DENSE.sum()),
        (minidl.linalg.vector_norm(gradient), np.linalg.norm(DENSE)),
        (minidl.isfinite(gradient), np.ones((6, 2), bool)),
        (minidl.concat([gradient, table]), np.concatenate([DENSE, np.ones((6, 2))])),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-15)
    table -= gradient
    np.testing.assert_array_equal(table, 1 - DENSE)
    with pytest.raises(
        AttributeError, match=r"no attribute 'norm'; minidl\.asarray\(g\) is the wh"
    ):
        gradient.norm()


def test_what_does_not_fit_is_refused():
    for error, message, misuse in (
        (DTypeError, "indices are integers", lambda: RowGradient([0.5], np.ones((1, 2)), (6, 2))),
        (ShapeError, "rows", lambda: RowGradient([0, 1], np.ones((1, 2)), (6, 2))),
        (ShapeError, "rows", lambda: RowGradient([0], np.ones((1, 3)), (6, 2))),
        (ShapeError, "rows", lambda: RowGradient([[0]], np.ones((1, 1, 2)), (6, 2))),
        (ShapeError, "rows", lambda: RowGradient(np.zeros(0, int), np.ones(0), ())),
        (ShapeError, "cannot add", lambda: small() + small().astype("float32")),
        (ShapeError, "cannot add", lambda: small() + RowGradient([0], np.ones((1, 2)), (5, 2))),
        (TypeError, "unsupported", lambda: small() * small()),
        (TypeError, "unsupported", lambda: small() / "2"),
    ):
        with pytest.raises(error, match=message):
            misuse()


# As a gradient.


def used(table, ids):
    return minidl.embedding(table, minidl.asarray(ids), sparse=True)


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_grad_holds_each_index_once(kernels, dtype):
    table = nn.Parameter(minidl.ones((6, 2), dtype=dtype))
    with minidl.kernels(kernels):
        for _ in range(3):
            (used(table, [4, 1, 4]) * used(table, [[1], [0], [4]])[:, 0]).sum().backward()
    assert table.grad.indices.tolist() == [0, 1, 4]
    assert table.grad.rows.tolist() == [[3, 3], [6, 6], [9, 9]]
    assert table.grad.dtype == dtype
    table.grad = table.grad / 3
    assert table.grad.is_coalesced
    table.grad = here(small().astype(dtype))
    assert table.grad.indices.tolist() == [1, 4]


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("device", ["cpu", tests.toy_backend.TOY])
def test_padding_is_not_in_it(kernels, device):
    for layer in (nn.Embedding, nn.EmbeddingBag):
        own = layer(6, 2, padding_idx=2, sparse=True, device=device)
        with minidl.kernels(kernels):
            own(minidl.tensor([[2, 4], [2, 2]], device=device)).sum().backward()
            assert minidl.asarray(own.weight.grad.indices).tolist() == [4]
            own.zero_grad()
            own(minidl.tensor([[2, 2]], device=device)).sum().backward()
        assert own.weight.grad.rows.shape == (0, 2)


def test_it_shares_no_memory_with_others():
    table, bias = nn.Parameter(minidl.ones((6, 2))), nn.Parameter(minidl.ones((2, 2)))
    seed = minidl.ones((2, 2))
    rows = used(table, [0, 4])
    (rows + bias).backward(seed)
    for other in (seed.data, bias.grad.data):
        assert not share_memory(table.grad.rows, other)


@pytest.mark.parametrize("of_leaf", [True, False])
def test_hooks_see_the_rows_and_may_replace_them(of_leaf):
    seen = []
    for replace, expected in (
        (lambda g: seen.append(g), 1),
        (lambda g: g * 3, 3),
        (lambda g: minidl.asarray(g) * 2, 2),
    ):
        leaf = nn.Parameter(minidl.ones((6, 2)))
        table = leaf if of_leaf else leaf * 1
        table.register_hook(replace)
        used(table, [4, 1, 4]).sum().backward()
        assert np.asarray(leaf.grad)[:, 0].tolist() == [0, expected, 0, 0, 2 * expected, 0]
    assert [type(gradient) for gradient in seen] == [RowGradient]
    leaf.register_hook(lambda g: minidl.ones(3))
    with pytest.raises(GradientError, match="the hook gave float32"):
        used(leaf, [1]).sum().backward()


def test_higher_derivatives_are_those_of_the_dense_gradient():
    found = []
    for sparse in (True, False):
        table = minidl.tensor(np.random.default_rng(0).normal(size=(6, 2)), requires_grad=True)
        with minidl.higher_order():
            y = minidl.embedding(table, minidl.tensor([4, 1, 4]), padding_idx=1, sparse=sparse)
            (first,) = minidl.gradients((y**3).sum(), [table], create_graph=True)
            (second,) = minidl.gradients((first**2).sum(), [table])
        found.append([first.numpy(), second.numpy()])
    np.testing.assert_array_equal(*found)
