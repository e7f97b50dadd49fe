"""Arguments of recurrent layers and operations by the names that PyTorch's programs write."""

import numpy as np
import pytest

import minidl
from minidl import nn

rng = np.random.default_rng(0)


def normal(*shape):
    return minidl.asarray(rng.normal(size=shape).astype(np.float32))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_the_state_is_named_as_in_pytorch(kind):
    for layer, shape, before in (
        (getattr(nn, kind)(3, 5), (7, 2, 3), (1, 2, 5)),
        (getattr(nn, kind + "Cell")(3, 5), (2, 3), (2, 5)),
    ):
        x, h = normal(*shape), normal(*before)
        state = (h, normal(*before)) if kind == "LSTM" else h
        named, placed = layer(x, hx=state), layer(x, state)
        for one, other in zip(_flat(named), _flat(placed), strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def _flat(result):
    if isinstance(result, tuple | list):
        return [x for part in result for x in _flat(part)]
    return [result]


@pytest.mark.parametrize("kernels", ["fast", "reference"])
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_a_mask_goes_by_name(kind, kernels):
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[kind]
    states = [normal(2, 5) for _ in range(2 if kind == "lstm" else 1)]
    given = [normal(7, 2, 3), *states, normal(gates * 5, 3), normal(gates * 5, 5)]
    mask = minidl.asarray(np.arange(7)[:, None] < [7, 4])
    function = getattr(minidl, kind)
    absent = [None] * (3 if kind == "lstm" else 2)
    with minidl.kernels(kernels):
        named, placed = function(*given, mask=mask), function(*given, *absent, mask)
    for one, other in zip(named, placed, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    with pytest.raises(TypeError, match=f"{kind}.*mask"):
        function(*given, *absent, mask, mask=mask)
    with pytest.raises(TypeError, match="weight_hh"):
        function(*given[:-1], mask=mask)


def test_an_operation_of_ones_own_takes_arrays_by_name():
    @minidl.composite(by_name=["factor", "offset"])
    def scaled(xp, x, /, factor=None, offset=None, power=1):
        y = x if factor is None else x * factor
        return (y if offset is None else y + offset) ** power

    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    assert scaled(x, offset=x, power=2).tolist() == [4, 16]
    assert scaled(x, x, offset=x, power=1).tolist() == [2, 6]
    assert scaled(x, x, x, 2).tolist() == [4, 36]
    scaled(x, offset=x).sum().backward()
    assert x.grad.tolist() == [2, 2]
    with pytest.raises(TypeError, match="factor"):
        scaled(x, x, factor=x)
