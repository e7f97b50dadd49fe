"""The kernels of rnn_cell, lstm_cell and gru_cell against their composites ("reference")."""

import numpy as np
import pytest

import minidl
from minidl.backends import cpu
from tests.every_backend.recurrent import GATES, arrays_of, assert_near, tensors_of


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("rows", [None, 1, 3, 20])
def test_cells(name, rows):
    """rnn_cell, lstm_cell and gru_cell: values, and each gradient with all others and alone."""
    arrays, dys = arrays_of(name, (1, rows or 1, 5, 9, 4))
    arrays[0], dys = arrays[0][0], dys[1:]
    count = 3 if name == "lstm" else 2
    if rows is None:
        arrays[:count], dys = [x[0] for x in arrays[:count]], [dy[0] for dy in dys]
    operation = getattr(minidl, f"{name}_cell")

    def run(mode, arrays, dys, wanted):
        with minidl.kernels(mode):
            tensors = tensors_of(arrays)
            for i in wanted:
                tensors[i].requires_grad_()
            outputs = operation(*tensors)
            outputs = list(outputs) if type(outputs) is tuple else [outputs]
            leaves = [tensors[i] for i in wanted]
            pairs = [(y, minidl.asarray(dy)) for y, dy in zip(outputs, dys, strict=True)]
            roots, dys = zip(*(pair for pair in pairs if pair[0].requires_grad), strict=True)
            found = minidl.gradients(list(roots), leaves, list(dys))
        return [x.numpy() for x in (*outputs, *found)]

    given = [i for i, x in enumerate(arrays) if x is not None]
    wide = [x if x is None else np.asarray(x, "float64") for x in arrays]
    for wanted in (given, *([i] for i in given)):
        found = run("fast", arrays, dys, wanted)
        needed = run("reference", wide, [np.asarray(dy, "float64") for dy in dys], wanted)
        assert_near(found, needed)
    assert cpu.kernel(f"{name}_cell")(*arrays) is not NotImplemented
