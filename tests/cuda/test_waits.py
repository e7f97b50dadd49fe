"""What waits for the GPU, and what does not though one may think so."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.data import DataLoader, TensorDataset

RNG = np.random.default_rng(0)


def on_gpu(*shape, **settings):
    return minidl.asarray(RNG.normal(size=shape).astype("float32"), device="cuda", **settings)


@pytest.mark.parametrize("lengths", [[5, 2, 3], np.array([5, 2, 3]), [5, 5, 5]])
def test_lengths_of_the_host_are_not_read_back(lengths, counters):
    layer, x = nn.LSTM(4, 3).to("cuda"), on_gpu(5, 3, 4)
    with minidl.device("cuda"):
        counters.reset()
        layer(x, lengths=lengths)
    sent = int(list(lengths) != [5, 5, 5])  # which steps there are
    assert (counters.h2d, counters.d2h, counters.sync) == (sent, 0, 0)


@pytest.mark.parametrize("dtype", ["int64", "uint8"])
def test_lengths_that_a_loader_sent_are_neither_read_nor_sent_again(dtype, counters):
    layer, x = nn.GRU(4, 3), RNG.normal(size=(3, 5, 4)).astype("float32")
    lengths = np.array([5, 2, 3], dtype)
    here, _ = layer(minidl.asarray(x.swapaxes(0, 1)), lengths=lengths)
    layer.to("cuda")
    for x_there, lengths_there in DataLoader(TensorDataset(x, lengths), 3, device="cuda"):
        counters.reset()
        y, _ = layer(x_there.permute_dims((1, 0, 2)), lengths=lengths_there)
        assert (counters.h2d, counters.d2h, counters.sync) == (0, 0, 0)
    np.testing.assert_allclose(y.detach().numpy(), here.detach().numpy(), atol=1e-6)
