"""Networks that are ready to be trained."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, ShapeError
from minidl.models import CNN, MLP
from tests.helpers import assert_close
from tests.oracle import torch


def images(*shape):
    return np.random.default_rng(0).uniform(size=shape).astype("float32")


def test_the_convolutional_network_is_the_documents():
    """The shapes and parameters that Keras's summary shows."""
    with minidl.kernels("reference"):
        found = nn.summary(CNN(), (1, 1, 28, 28))
    assert [
        (row.kind, row.output[1:], row.parameters) for row in found.layers if row.depth == 2
    ] == [
        ("Conv2d", (32, 26, 26), 320),
        ("ReLU", (32, 26, 26), 0),
        ("MaxPool2d", (32, 13, 13), 0),
        ("Conv2d", (64, 11, 11), 18496),
        ("ReLU", (64, 11, 11), 0),
        ("MaxPool2d", (64, 5, 5), 0),
        ("Flatten", (1600,), 0),
        ("Linear", (128,), 204928),
        ("ReLU", (128,), 0),
        ("Linear", (10,), 1290),
    ]
    assert found.parameters == 225034


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [4, 5, 8, 9, 10, 11, 13, 32, (10, 17), (4, 20), (31, 9)])
def test_images_of_any_size_give_logits(size, channels):
    height, width = (size, size) if isinstance(size, int) else size
    model = CNN(channels, size, classes=7)
    with minidl.kernels("reference"):
        logits = model(minidl.asarray(images(2, channels, height, width)))
    assert logits.shape == (2, 7)
    padding = model.features[0].padding[0]
    assert padding == (1 if min(height, width) < 10 else 0)
    assert model.features[3].padding[0] == padding


@pytest.mark.parametrize("size", [3, (28, 2), 0])
def test_images_that_are_too_small_are_refused(size):
    with pytest.raises(ArgumentError, match=r"CNN: needs images of 4×4 or more"):
        CNN(1, size)


@pytest.mark.parametrize("shape", [(2, 1, 27, 28), (2, 28, 28), (2, 3, 28, 28), (1, 28, 28), ()])
def test_other_images_are_refused(shape):
    with pytest.raises(ShapeError, match=r"CNN needs an input of shape \(N, 1, 28, 28\); got \("):
        CNN()(minidl.zeros(shape))


def in_torch(model):
    """The same network, with the same weights, in PyTorch."""
    layers = {
        "Conv2d": lambda x: torch.nn.Conv2d(
            x.in_channels, x.out_channels, x.kernel_size, padding=x.padding
        ),
        "Linear": lambda x: torch.nn.Linear(x.in_features, x.out_features),
        "MaxPool2d": lambda x: torch.nn.MaxPool2d(2),
        "ReLU": lambda x: torch.nn.ReLU(),
        "Flatten": lambda x: torch.nn.Flatten(),
    }
    twin = torch.nn.Sequential()
    for name, part in model.named_children():
        made = [layers[type(layer).__name__](layer) for layer in part]
        twin.add_module(name, torch.nn.Sequential(*made))
    state = {name: torch.tensor(x.numpy()) for name, x in model.state_dict().items()}
    twin.load_state_dict(state)
    return twin


@pytest.mark.parametrize("size", [8, 28])
def test_the_convolutional_network_learns_as_in_pytorch(size):
    minidl.manual_seed(0)
    model = CNN(1, size)
    twin = in_torch(model)
    optimizer = minidl.optim.Adam(model.parameters())
    other = torch.optim.Adam(twin.parameters())
    x, target = images(6, 1, size, size), np.array([0, 1, 2, 3, 9, 9])
    for _ in range(3):
        loss = minidl.cross_entropy(model(minidl.asarray(x)), target)
        theirs = torch.nn.functional.cross_entropy(twin(torch.tensor(x)), torch.tensor(target))
        assert_close(loss.numpy(), theirs.detach().numpy(), 1e-5)
        for one in (optimizer, other):
            one.zero_grad()
        loss.backward()
        theirs.backward()
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            assert_close(p.grad.numpy(), q.grad.numpy(), 1e-4)
        optimizer.step()
        other.step()


def test_the_feed_forward_network_flattens_images():
    assert MLP(64, 3)(minidl.zeros((5, 1, 8, 8))).shape == (5, 3)
