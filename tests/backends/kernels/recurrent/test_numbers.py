"""What the recurrent kernels make of large, infinite and many numbers."""

import numpy as np
import pytest

import minidl
from minidl.backends.kernels.recurrent import weight_gradient
from tests.every_backend.recurrent import (
    GATES,
    arrays_of,
    assert_near,
    exact,
    outcome,
    tensors_of,
)

each_name = pytest.mark.parametrize("name", GATES)
SIZE = 6, 11, 5, 9, 4


@each_name
@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_extreme_preactivations_saturate(name, scale):
    arrays, dys = arrays_of(name, SIZE)
    settings = {}
    for i in range(3 if name == "lstm" else 2, len(arrays)):
        if i < 5 + (name == "lstm"):
            arrays[i] = arrays[i] * np.float32(scale)
    found = outcome(name, arrays, dys, **settings)
    states = 3 if name == "lstm" else 2
    assert all(np.isfinite(x).all() for x in found[:states])
    expected = outcome(name, arrays, dys, mode="reference", **settings)
    assert_near(found[:states], expected[:states])


def test_an_exploding_state_becomes_infinite_and_then_nan():
    x, w = np.ones((400, 3, 1), "float32"), np.full((1, 1), 2, "float32")
    one = np.ones((3, 1), "float32")
    y, h_n = minidl.rnn(*map(minidl.asarray, (x, one, w, w)), nonlinearity="relu")
    assert np.isinf(h_n.numpy()).all()
    assert np.isfinite(y.numpy()[:100]).all()
    y, _ = minidl.rnn(*map(minidl.asarray, (-x, one, w, w)), nonlinearity="relu")
    assert not y.numpy().any()


@each_name
def test_nan_stays_in_its_sequence(name):
    arrays, _ = arrays_of(name, SIZE)
    arrays[0][2, 4] = np.nan
    outputs = getattr(minidl, name)(*tensors_of(arrays))
    y = outputs[0].numpy()
    assert np.isnan(y[2:, 4]).all()
    assert np.isfinite(np.delete(y, 4, axis=1)).all()
    assert np.isfinite(y[:2]).all()


@each_name
def test_long_sums_of_weight_gradients_are_exact(name):
    """Constant terms, whose roundings go in the same direction."""
    assert weight_gradient._PRODUCTS < 40 * 300
    arrays, dys = arrays_of(name, (40, 300, 3, 2, 0))
    first = 3 if name == "lstm" else 2
    for array in arrays[1:first]:
        array[:] = array[:1]
    for i in range(first, len(arrays)):
        arrays[i] = None if arrays[i] is None else arrays[i] * 0
    arrays[0][:], dys[0][:] = 0.1, 0.3
    found = outcome(name, arrays, dys)
    needed = exact(name, arrays, dys)
    for one, other in zip(found[first + 1 :], needed[first + 1 :], strict=True):
        bound = np.log2(40 * 300) * np.finfo("float32").eps * np.abs(other)
        assert (np.abs(one - other) <= bound + 1e-6).all()
