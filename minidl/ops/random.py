"""Random tensors, each a function of a key: the seed of a generator and how far it has come."""

import os
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np

from minidl import dtypes
from minidl.autograd.primitive import primitive
from minidl.autograd.tensor import Tensor
from minidl.ops import creation
from minidl.ops.indexing import argsort
from minidl.ops.manipulation import concat


class Generator:
    """A seed, and an offset that moves on with every number taken."""

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.offset = int(seed) % 2**64, 0
        self._lock = Lock()

    def key(self, size: int) -> tuple[int, int]:
        """A key (seed, offset) for `size` numbers that nobody else gets."""
        with self._lock:
            key = self.seed, self.offset
            self.offset += (size + 1) // 2  # a block of Philox gives two numbers
            return key

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, offset={self.offset})"


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Begin the default generator anew: the same seed, the same numbers."""
    default_generator.seed, default_generator.offset = int(seed) % 2**64, 0
    return default_generator


def seed() -> int:
    """Begin the default generator anew from the operating system's randomness; the seed."""
    return manual_seed(int.from_bytes(os.urandom(8))).seed


@primitive
def uniform_like(xp, x, /, key):
    """Numbers in [0, 1) of the shape and dtype of x, from key = (seed, offset)."""
    return xp.uniform_like(x, key), None


def uniform(
    shape: int | Sequence[int],
    low: float = 0.0,
    high: float = 1.0,
    *,
    dtype: Any = None,
    generator: Generator | None = None,
    **where: Any,
) -> Tensor:
    """Uniform in [low, high)."""
    grad = where.pop("requires_grad", False)
    like = creation.zeros(shape, dtype=dtype, **where)
    numbers = uniform_like(like, (generator or default_generator).key(like.size))
    return Tensor((numbers * (high - low) + low).data).requires_grad_(grad)


def normal(
    shape: int | Sequence[int],
    mean: float = 0.0,
    std: float = 1.0,
    *,
    dtype: Any = None,
    generator: Generator | None = None,
    **where: Any,
) -> Tensor:
    """Normal with this mean and standard deviation.

    Box, Muller 1958:  √(−2 log u)·cos(2πv) and √(−2 log u)·sin(2πv), for u in (0, 1], v in [0, 1).
    """
    grad = where.pop("requires_grad", False)
    like = creation.zeros(shape, dtype=dtype, **where)
    pairs = (like.size + 1) // 2
    u, v = uniform((2, pairs), dtype=dtypes.float64, generator=generator, device=like.device)
    radius, angle = (-2 * (1 - u).log()).sqrt(), 2 * np.pi * v
    both = concat([radius * angle.cos(), radius * angle.sin()])[: like.size]
    return (both * std + mean).reshape(like.shape).astype(like.dtype).requires_grad_(grad)


def integers(
    low: int,
    high: int,
    shape: int | Sequence[int] = (),
    *,
    generator: Generator | None = None,
    device: str | None = None,
) -> Tensor:
    """Whole numbers from low to high − 1, int64."""
    if not low < high:
        raise ValueError(f"integers: needs low < high; got {low} and {high}")
    u = uniform(shape, dtype=dtypes.float64, generator=generator, device=device)
    return (u * (high - low)).floor().astype(dtypes.int64) + low


def permutation(n: int, *, generator: Generator | None = None, device: str | None = None) -> Tensor:
    """The numbers 0 … n − 1 in a random order."""
    return argsort(uniform(n, dtype=dtypes.float64, generator=generator, device=device))
