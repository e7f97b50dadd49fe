"""Noise that keeps a network from relying on any one neuron."""

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError
from minidl.nn.module import Module
from minidl.ops import random


class Dropout(Module):
    """In training, each element is 0 with probability p, and else divided by 1 − p."""

    def __init__(self, p: float = 0.5, generator: random.Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"Dropout: p is a probability, from 0 to 1; got {p}")
        self.p, self.generator = p, generator or random.default_generator

    def forward(self, x: Tensor) -> Tensor:
        """The input, with holes in training."""
        if not self.training or self.p == 0:
            return x
        return ops.dropout(x, self.p, key=self.generator.key(x.size))

    def extra_repr(self) -> str:
        return f"p={self.p}"
