"""checkpoint: state that the function writes through slices is replayed from its first values."""

import numpy as np
import pytest

import minidl
from minidl.errors import GradientError
from tests.autograd.test_checkpoint import nested, plain


def row(t):
    t[0] += 1.0


def first_rows(t):
    t[:1] += 1.0


def overlapping_rows(t):
    t[:2] += 1.0
    t[1:] *= 3.0
    t[:1] -= 0.5
    t += 2.0


def rows_again_and_again(t):
    for i in range(3):
        t[i] = t[i] * 2.0 + i
        t[i:] += 1.0


def taken_rows(t):
    t[minidl.asarray([0, 2])] += 1.0


WRITES = [row, first_rows, overlapping_rows, rows_again_and_again, taken_rows]
STATES = {
    "own memory": lambda: minidl.zeros((3, 2), dtype="float64"),
    "a view": lambda: minidl.zeros((5, 2, 4), dtype="float64")[1:4, :, 1],
    "transposed": lambda: minidl.zeros((2, 3), dtype="float64").T,
    "memory of NumPy": lambda: minidl.asarray(
        np.frombuffer(bytearray(48), "float64")[::-1]
    ).reshape(3, 2),
}


@pytest.mark.parametrize("how", [minidl.checkpoint, nested])
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
@pytest.mark.parametrize("write", WRITES)
def test_writes_to_slices_of_state_are_replayed_from_the_start(how, state, write):
    """x is 1: outputs that are x·total − before tell no difference if both are off by the same."""

    def results(how):
        x, total = minidl.ones((3, 2), dtype="float64", requires_grad=True), state()

        def accumulating(x):
            before = total.copy()
            write(total)
            return x * total.copy() - before

        found = []
        first, second = how(accumulating, x).sum(), how(accumulating, x).sum()
        for y in (second, first, first):
            y.backward(retain_graph=True)
            found.append(x.grad.numpy().copy())
        return [*found, total.numpy()]

    for a, b in zip(results(how), results(plain), strict=True):
        np.testing.assert_array_equal(a, b)


def test_writes_to_a_view_alone_are_refused():
    """Writes to a view alone are refused when they would be seen in the second run."""
    x = minidl.ones(3, dtype="float64", requires_grad=True)
    total = minidl.zeros(3, dtype="float64")

    def through_a_view(x):
        view = total[:1]
        view += 1.0
        return x * total

    def through_the_same_memory(x):
        same = total.detach()
        same[0] = 5.0
        return x * total

    for f in (through_a_view, through_the_same_memory):
        y = minidl.checkpoint(f, x).sum()
        total[0] = 7.0  # the state has gone on
        with pytest.raises(GradientError, match="reads an array of shape"):
            y.backward()
        assert total.tolist() == [7, 0, 0]
    assert x.grad is None
