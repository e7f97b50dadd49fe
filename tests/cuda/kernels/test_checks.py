"""Checks of values on the device: what is wrong first is raised at the next wait."""

import cupy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.errors import ArgumentError, BoundsError
from minidl_cuda import checks
from tests.cuda.kernels.examples import examples

DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
# Fewer than a warp, a block and one more, and more than a grid's threads.
COUNTS = [1, 7, 256, 257, 3000, 256 * 1024 + 5]
FAR = 2**31 - 1  # an index is told to within 32 bits


def fault_of(indices, lowest, size):
    """The message for the first index outside lowest … size − 1, or None."""
    for index in map(int, indices.ravel()):
        if not lowest <= index < size:
            beyond = "≥ " if index >= FAR else "≤ " if index <= -FAR - 1 else ""
            return f"index {beyond}{min(max(index, -FAR - 1), FAR)} is "
    return None


def expect(message):
    """The wait raises this, and the one after it nothing."""
    if message is not None:
        with pytest.raises(BoundsError) as caught:
            checks.raise_deferred()
        assert str(caught.value).startswith(message)
    checks.raise_deferred()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_wrong_index_is_told(dtype, count, launches):
    rng = np.random.default_rng(count)
    indices = rng.integers(0, 100, count).astype(dtype)
    name = f"within_{dtype[0]}{8 * indices.dtype.itemsize}"
    checks.check_indices(cupy.asarray(indices), 100)
    expect(None)
    for place in {count - 1, count // 2}:  # also two at once
        indices[place] = 100 + place % 27
        checks.check_indices(cupy.asarray(indices), 100)
        expect(fault_of(indices, 0, 100))
    assert launches[name] == 1 + len({count - 1, count // 2})


@examples(40)
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_any_indices_of_an_axis(data, dtype):
    """Negative ones count from its end; numbers at the ends of the dtype are told as such."""
    limits = np.iinfo(dtype)
    size = data.draw(st.integers(1, 200))
    whole = st.integers(int(limits.min), int(limits.max))
    small = st.integers(max(-size, int(limits.min)), min(size - 1, int(limits.max)))
    ends = st.sampled_from([int(limits.min), int(limits.max)])
    indices = np.array(data.draw(st.lists(small | small | whole | ends, max_size=40)), dtype)
    checks.check_index((Ellipsis, cupy.asarray(indices)), (3, size))
    expect(fault_of(indices, -size, size))


@pytest.mark.parametrize("value", [2**63, 2**64 - 1])
def test_an_unsigned_index_does_not_count_from_the_end(value):
    indices = np.array([0, value], "uint64")
    for check in (checks.check_indices, lambda x, size: checks.check_index(x, (size,))):
        check(cupy.asarray(indices), 5)
        expect(f"index ≥ {FAR} is ")


@pytest.mark.parametrize("count", COUNTS)
def test_conditions(count, launches):
    valid = np.ones(count, bool)
    failed = lambda: ArgumentError("not all are true")
    checks.check(cupy.asarray(valid), failed)
    checks.raise_deferred()
    for place in (0, count - 1):
        wrong = valid.copy()
        wrong[place] = False
        checks.check(cupy.asarray(wrong), failed)
        with pytest.raises(ArgumentError, match="not all are true"):
            checks.raise_deferred()
    assert launches["all_true"] == 3


def test_views_and_nothing():
    grid = cupy.asarray(np.arange(12).reshape(3, 4))
    checks.check_indices(grid.T[::2], 11)  # 0, 4, 8, 2, 6 and 10
    expect(None)
    checks.check_indices(grid.T[1::2], 9)  # 1, 5, 9, …
    expect("index 9 is outside 0 … 8")
    checks.check_indices(grid[:0], 0)
    checks.check(grid[:0] > 0, ArgumentError)
    expect(None)


def test_of_several_checks_the_first_is_raised():
    nines = cupy.asarray(np.array([9, 9]))
    for size in (10, 5, 3):
        checks.check_indices(nines, size)
    expect("index 9 is outside 0 … 4")
