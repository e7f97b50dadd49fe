"""A multilayer perceptron."""

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.ops import flatten, relu


class MLP(nn.Module):
    """Three fully connected layers, inputs → 128 → 64 → classes, with ReLU between them.

    Inputs of any shape are flattened; the output is the logits.

    >>> minidl.models.MLP(inputs=64)(minidl.zeros((2, 1, 8, 8))).shape
    (2, 10)
    """

    def __init__(self, inputs: int = 784, classes: int = 10) -> None:
        self.fc1 = nn.Linear(inputs, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) → (N, classes)."""
        x = flatten(x, 1)
        x = relu(self.fc1(x))
        x = relu(self.fc2(x))
        return self.fc3(x)
