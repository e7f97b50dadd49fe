"""Noise that keeps a network from relying on any one neuron."""

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.nn.module import Module
from minidl.ops import random


class Dropout(Module):
    """In training, each element is 0 with probability p, and else divided by 1 − p.

    generator    where the randomness comes from; minidl's default one if left out
    inplace      accepted for PyTorch's sake, and changes nothing
    """

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: random.Generator | None = None
    ) -> None:
        ops.check_probability("Dropout", p)
        self.p, self.inplace, self.generator = p, inplace, generator

    def forward(self, x: Tensor) -> Tensor:
        """The input, with holes in training."""
        x = ops.asarray(x)
        if not self.training or self.p == 0:
            return x
        generator = self.generator or random.default_generator
        return ops.dropout(x, self.p, key=generator.key(x.size))

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
