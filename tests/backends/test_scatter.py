"""Scatter-add: NumPy's indices, and sums of many repetitions within the bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl.backends import cpu
from tests.exactness import KINDS, excess, hostile

INDICES = {
    "rows": lambda ids: (ids,),
    "no tuple": lambda ids: ids,
    "a list": lambda ids: (ids.tolist(),),
    "negative": lambda ids: (ids - 4,),
    "small integers": lambda ids: (ids.astype("uint8"),),
    "two axes": lambda ids: (ids, ids[::-1] % 3),
    "a slice between": lambda ids: (ids, slice(None), ids % 2),
    "a slice before": lambda ids: (slice(1, None), ids % 3),
    "an ellipsis": lambda ids: (..., ids % 2),
    "a new axis": lambda ids: (None, ids),
    "a table of ids": lambda ids: (ids.reshape(-1, 4),),
    "a mask": lambda ids: (np.arange(4) % 2 == 0,),
    "an integer": lambda ids: (2, ids % 3),
    "a few": lambda ids: (ids[:3],),
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "int64"])
@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("layout", ["C", "F"])
def test_any_index_is_numpys(name, dtype, layout):
    rng = np.random.default_rng(0)
    index = INDICES[name](rng.integers(0, 4, 40))
    x = np.array(rng.integers(-9, 9, (4, 3, 2)), dtype, order=layout)
    values = rng.integers(-9, 9, x[index].shape).astype(dtype)
    needed = x.copy()
    np.add.at(needed, index, values)
    cpu.add_at(x, index, values)
    np.testing.assert_array_equal(x, needed)
    with pytest.raises(IndexError):
        cpu.add_at(x, (np.array([0, 9] * 5),), 1)


@given(st.sampled_from(KINDS), st.sampled_from(["float16", "float32", "float64"]), st.data())
@settings(max_examples=40)
def test_sums_of_many_repetitions_are_within_the_bound(kind, dtype, data):
    n, width, rows = (data.draw(st.integers(1, most)) for most in (3000, 5, 4))
    values = hostile(kind, (n, width), dtype)
    ids = np.random.default_rng(n).integers(0, rows, n)
    found = [
        minidl.segment_sum(values, ids, rows).numpy(),
        minidl.scatter_add(
            np.zeros((rows, width), dtype), ids[:, None] + np.zeros(width, int), values, axis=0
        ).numpy(),
    ]
    table = minidl.zeros((rows, width), dtype=dtype, requires_grad=True)
    (minidl.embedding(table, ids) * values).sum().backward()
    for y in [*found, table.grad.numpy()]:
        assert y.dtype == dtype
        for row in set(ids.tolist()):
            assert excess(y[row], values[ids == row], 0) <= 1


def test_the_element_itself_is_a_term():
    values = hostile("large first", (5000,), "float32")
    x = np.full(2, 3, "float32")
    cpu.add_at(x, np.zeros(5000, int), values)
    assert excess(x[0], np.append(values, np.float32(3))) <= 1
    assert x[1] == 3


def test_the_number_of_threads_changes_no_bit():
    rng, before = np.random.default_rng(0), minidl.get_num_threads()
    for rows in (1, 7, 5000):
        ids, values = rng.integers(0, rows, 9000), rng.normal(size=(9000, 30))
        found = []
        for n in (1, 2, 5):
            minidl.set_num_threads(n)
            found.append(cpu.scatter_at(values, (ids,), (rows, 30)))
        minidl.set_num_threads(before)
        assert all(np.array_equal(found[0], y) for y in found)
        needed = np.zeros((rows, 30))
        np.add.at(needed, ids, values)
        np.testing.assert_allclose(found[0], needed, atol=1e-11)
