"""What waits for the GPU, and what does not though one may think so."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.data import DataLoader, TensorDataset
from minidl.errors import ShapeError

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


def waits(counters):
    return counters.h2d, counters.d2h, counters.sync


@pytest.mark.parametrize("axes", [2, 3])
def test_fractional_pooling_waits_for_nothing(axes, counters):
    x = on_gpu(2, 3, *[9] * axes, requires_grad=True)
    layer = (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)[axes - 2](2, output_ratio=0.6)
    minidl.manual_seed(4)
    counters.reset()
    y = layer(x)
    y.sum().backward()
    assert waits(counters) == (0, 0, 0)
    minidl.manual_seed(4)
    here = layer(minidl.asarray(x.detach().numpy()))
    np.testing.assert_array_equal(y.detach().numpy(), here.numpy())


def test_samples_of_fractional_pooling_are_checked_later():
    x, samples = on_gpu(1, 1, 5, 5), minidl.ones((1, 1, 2), device="cuda")
    minidl.fractional_max_pool2d(x, samples, 2, 3)
    with pytest.raises(ShapeError, match=r"^fractional_max_pool2d: samples are numbers ≥ 0"):
        minidl.cuda.synchronize()
    with pytest.raises(ShapeError, match=r"^fractional_max_pool2d: samples are numbers ≥ 0"):
        minidl.fractional_max_pool2d(minidl.ones((1, 1, 5, 5)), minidl.ones((1, 1, 2)), 2, 3)


def test_an_adaptive_softmax_knows_the_targets_that_a_loader_sent(counters):
    layer = nn.AdaptiveLogSoftmaxWithLoss(16, 30, [5, 12]).to("cuda")
    x, target = RNG.normal(size=(12, 16)).astype("float32"), RNG.integers(0, 30, 12)
    for x_there, target_there in DataLoader(TensorDataset(x, target), 12, device="cuda"):
        counters.reset()
        layer(x_there, target_there).loss.backward()
        assert waits(counters) == (2, 0, 0)  # which rows each cluster has
    computed = minidl.asarray(target, device="cuda") + 0
    minidl.cuda.synchronize()
    counters.reset()
    layer(x_there, computed)
    assert counters.d2h == 1


def test_ctc_knows_what_a_loader_sent(counters):
    log_p = minidl.log_softmax(on_gpu(6, 2, 5, requires_grad=True), axis=2)
    batch = np.array([[1, 2, 3], [4, 1, 0]]), np.array([6, 5]), np.array([3, 2])
    for arrays in DataLoader(TensorDataset(*batch), 2, device="cuda"):
        counters.reset()
        minidl.ctc_loss(log_p, *arrays).backward()
        assert waits(counters)[1:] == (0, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_a_table_with_padding_waits_for_nothing(dtype, counters):
    table = nn.Embedding(9, 4, padding_idx=2, dtype=dtype, device="cuda")
    ids = minidl.asarray([[1, 2, 2], [8, 1, 0]], device="cuda")
    counters.reset()
    table(ids).sum().backward()
    assert waits(counters) == (0, 0, 0)
    assert table.weight.grad[:, 0].tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("padding", [None, 2])
def test_a_sparse_gradient_waits_to_count_its_rows(padding, counters):
    table = nn.Embedding(9, 4, padding_idx=padding, sparse=True, device="cuda")
    ids = minidl.asarray([[1, 2, 2], [8, 1, 0]], device="cuda")
    counters.reset()
    table(ids).sum().backward()
    assert (counters.h2d, counters.d2h, counters.sync) == (0, 0, 1 + (padding is not None))
