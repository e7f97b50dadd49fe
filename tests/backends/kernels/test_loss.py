"""The kernel of cross-entropy against its body: special values, missing classes, threads."""

import numpy as np
import pytest

import minidl
from minidl.errors import BoundsError
from tests.backends.kernels.support import rng, run


def loss_of(logits, target, kernels):
    x = minidl.tensor(np.asarray(logits, "float32"), requires_grad=True)
    with minidl.kernels(kernels):
        y = minidl.cross_entropy(x, minidl.asarray(target))
    return y.item(), minidl.gradients(y, [x])[0].numpy()


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(
    "logits",
    [
        [[1000.0, -1000.0, 0.0], [-1e30, 1e30, 0.0]],
        [[-np.inf, 0.0, 1.0], [2.0, -np.inf, 1.0]],
        [[np.nan, 0.0, 1.0], [0.0, 1.0, 2.0]],
        [[-np.inf, -np.inf, -np.inf], [0.0, 1.0, 2.0]],
        [[np.inf, 0.0, 1.0], [0.0, 1.0, 2.0]],
    ],
)
def test_cross_entropy_of_special_values(logits):
    fast, slow = (loss_of(logits, [2, 0], kernels) for kernels in ("fast", "reference"))
    np.testing.assert_allclose(fast[0], slow[0], rtol=1e-6)
    nan = np.isnan(slow[1]).any(axis=1)
    np.testing.assert_array_equal(np.isnan(fast[1]).any(axis=1), nan)
    np.testing.assert_allclose(fast[1][~nan], slow[1][~nan], atol=1e-6)


@pytest.mark.parametrize("target", [[0, 3], [-1, 0]])
@pytest.mark.parametrize("kernels", ["fast", "reference"])
def test_cross_entropy_of_a_class_that_does_not_exist(target, kernels):
    wrong = next(t for t in target if not 0 <= t < 3)
    with pytest.raises(BoundsError, match=f"cross_entropy.*index {wrong} is outside 0 … 2"):
        loss_of(np.zeros((2, 3)), target, kernels)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_cross_entropy_has_the_same_bits_with_any_number_of_threads(reduction, in_pieces):
    x = rng.normal(0, 10, (301, 1000)).astype(np.float32)
    target = minidl.asarray(rng.integers(1000, size=301))
    loss = lambda x: minidl.cross_entropy(x, target, reduction=reduction)
    (value, gradient), *others = in_pieces(lambda: run("fast", loss, x))
    for other in others:
        assert other[0] == value
        np.testing.assert_array_equal(other[1], gradient)
    slow = run("reference", loss, x)
    np.testing.assert_allclose(value, slow[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, slow[1], atol=1e-6)


def test_the_first_class_that_does_not_exist_is_named_with_any_number_of_threads(in_pieces):
    x, target = minidl.zeros((300, 1000)), np.zeros(300, int)
    target[[20, 250]] = 1000, -7

    def message():
        with pytest.raises(BoundsError, match="index 1000 is outside 0 … 999"):
            minidl.cross_entropy(x, minidl.asarray(target))

    list(in_pieces(message))
