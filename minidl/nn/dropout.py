"""Noise that keeps a network from relying on any one neuron."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_numbers
from minidl.errors import MinidlError
from minidl.nn.module import Module
from minidl.nn.settings import check_flags, check_generator
from minidl.ops import random


class Dropout(Module):
    """In training, each element is 0 with probability p, and else divided by 1 − p.

    generator    where the randomness comes from; minidl's default one if left out
    inplace      accepted for PyTorch's sake, and changes nothing

    Srivastava et al. 2014.

    >>> layer, x = nn.Dropout(p=0.75), minidl.ones(1000)
    >>> sorted(set(layer(x).tolist()))
    [0.0, 4.0]
    >>> bool((layer.eval()(x) == x).all())
    True
    """

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: random.Generator | None = None
    ) -> None:
        check_numbers(self, 0, 1, p=p)
        check_flags(self, inplace=inplace)
        check_generator(self, generator)
        self.p, self.inplace, self.generator = p, inplace, generator

    def forward(self, x: Tensor) -> Tensor:
        """The input, with holes in training."""
        x = self._tensor(x)
        if not self.training or self.p == 0:
            return x
        generator = self.generator or random.default_generator
        return ops.dropout(x, self.p, key=generator.key(x.size))

    def _tensor(self, x: Any) -> Tensor:
        """The input as a tensor, so that what comes out is one in any case."""
        try:
            return ops.asarray(x)
        except MinidlError as error:
            raise type(error)(f"{type(self).__name__}: {error}") from None

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
