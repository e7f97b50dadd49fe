"""The registry of datasets and networks that commands know by name."""

from typing import Any

from minidl import nn
from minidl.data import digits, fashion_mnist, mnist
from minidl.models import CNN, MLP

# The function that loads each dataset, and the default number of epochs.
DATA = {"digits": (digits, 30), "mnist": (mnist, 10), "fashion-mnist": (fashion_mnist, 10)}

_CLOTHES = [
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
]

MODELS = {
    "mlp": "fully connected, 128-64-10, with ReLU (`minidl.models.MLP`)",
    "cnn": "convolutional, 32-64-128-10, with ReLU and max pooling (`minidl.models.CNN`)",
}


def network(name: str, shape: Any) -> nn.Module:
    """A new network of this name, for images (channels, height, width)."""
    channels, height, width = shape
    if name == "cnn":
        return CNN(channels, (height, width))
    return MLP(inputs=channels * height * width)


def classes(data: str) -> list[str]:
    """The names of the ten classes."""
    return _CLOTHES if data == "fashion-mnist" else [str(digit) for digit in range(10)]
