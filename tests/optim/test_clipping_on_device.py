"""Clipping by norm where gradients are on another device than the host."""

import math

import numpy as np
import pytest

import minidl
from minidl import nn, optim
from minidl.errors import GradientError
from tests.toy_backend import TOY

GRADIENTS = {
    "plain": [[3.0, -4.0], [[1.0, 2.0], [0.5, -8.0]]],
    "zero": [[0.0, 0.0], [[0.0, 0.0], [0.0, 0.0]]],
    "tiny": [[3e-30, -4e-30], [[0.0, 1e-30], [0.0, 0.0]]],
    "huge": [[3e30, -4e30], [[0.0, 1e30], [0.0, 0.0]]],
    "infinite": [[math.inf, 1.0], [[1.0, 2.0], [3.0, 4.0]]],
    "nan": [[math.nan, 1.0], [[1.0, 2.0], [3.0, 4.0]]],
}


def clipped(device, gradients, max_norm, p):
    """The norm and the gradients after clipping."""
    parameters = []
    for values in gradients:
        values = np.asarray(values, "float32")
        parameters.append(nn.Parameter(minidl.zeros(values.shape, device=device)))
        parameters[-1].grad = minidl.asarray(values, device=device)
    norm = optim.clip_grad_norm_(parameters, max_norm, p)
    assert (norm.device, norm.dtype) == (device, "float32")
    return norm.item(), [q.grad.numpy() for q in parameters]


@pytest.mark.parametrize("p", [1, 2, 2.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 1e31])
@pytest.mark.parametrize("gradients", GRADIENTS.values(), ids=GRADIENTS)
def test_it_clips_as_on_the_cpu(gradients, max_norm, p):
    norm, found = clipped(TOY, gradients, max_norm, p)
    expected_norm, expected = clipped("cpu", gradients, max_norm, p)
    np.testing.assert_allclose(norm, expected_norm, rtol=1e-6)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


def test_rows_and_empty_gradients():
    for device in ("cpu", TOY):
        layer = nn.Embedding(5, 2, sparse=True).to(device)
        empty = nn.Parameter(minidl.zeros((0, 3), device=device))
        empty.grad = minidl.zeros((0, 3), device=device)
        ids = minidl.asarray([1, 3, 1], device=device)
        (layer(ids) * 3.0).sum().backward()
        norm = optim.clip_grad_norm_([layer.weight, empty], 1.0)
        assert abs(norm.item() - 90**0.5) < 1e-5
        assert isinstance(layer.weight.grad, minidl.RowGradient)
        rows = minidl.asarray(layer.weight.grad).numpy()[[1, 3]]
        np.testing.assert_allclose(rows, np.array([[6, 6], [3, 3]]) / 90**0.5, rtol=1e-5)


def test_an_infinite_norm_is_an_error_if_asked():
    w = nn.Parameter(minidl.zeros(2, device=TOY))
    w.grad = minidl.asarray(np.array([math.inf, 1.0], "float32"), device=TOY)
    with pytest.raises(GradientError, match="the norm of the gradients is inf"):
        optim.clip_grad_norm_([w], 1.0, error_if_nonfinite=True)
    assert w.grad.tolist() == [math.inf, 1.0]
