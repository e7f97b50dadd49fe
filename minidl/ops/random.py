"""Random tensors, each a function of a key: the seed of a generator and how far it has come."""

import math
import os
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np

from minidl import dtypes
from minidl.autograd.checkpoint import once
from minidl.autograd.primitive import primitive
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError
from minidl.ops import creation
from minidl.ops.elementwise import minimum
from minidl.ops.indexing import argsort
from minidl.ops.manipulation import stack


class Generator:
    """A seed, and an offset that moves on with every number taken."""

    def __init__(self, seed: int = 0) -> None:
        self.manual_seed(seed)
        self._lock = Lock()

    def manual_seed(self, seed: int) -> "Generator":
        """Begin anew: the same seed, the same numbers."""
        if not isinstance(seed, int | np.integer):
            raise ArgumentError(f"a seed is a whole number; got {seed!r}")
        self.seed, self.offset = int(seed) % 2**64, 0
        return self

    def key(self, size: int) -> tuple[int, int]:
        """A key (seed, offset) for `size` numbers that nobody else gets."""
        return once(self._take, size)

    def _take(self, size: int) -> tuple[int, int]:
        with self._lock:
            key = self.seed, self.offset
            self.offset += (size + 1) // 2  # a block of Philox gives two numbers
            return key

    def get_state(self) -> dict[str, int]:
        """Where the generator is, to be saved: its seed and offset."""
        with self._lock:
            return {"seed": self.seed, "offset": self.offset}

    def set_state(self, state: Mapping[str, int]) -> "Generator":
        """Go on where `get_state` was called; raise ArgumentError if that is no such state."""
        is_state = isinstance(state, Mapping) and set(state) == {"seed", "offset"}
        if not is_state or not all(type(n) is int and n >= 0 for n in state.values()):
            raise ArgumentError(
                f"set_state: needs the seed and offset that get_state gave; got {state!r:.80}"
            )
        with self._lock:
            self.seed, self.offset = state["seed"] % 2**64, state["offset"]
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.seed, self.offset)

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, offset={self.offset})"


def _restored(seed: int, offset: int) -> Generator:
    """A generator that goes on where another was."""
    generator = Generator(seed)
    generator.offset = offset
    return generator


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Begin the default generator anew: the same seed, the same numbers."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Begin the default generator anew from the operating system's randomness; the seed."""
    return manual_seed(int.from_bytes(os.urandom(8))).seed


@primitive
def uniform_like(xp, x, /, key):
    """Numbers in [0, 1) of the shape and dtype of x, from key = (seed, offset)."""
    return xp.uniform_like(x, key), None


def _float_zeros(name: str, shape: int | Sequence[int], dtype: Any, device: str | None) -> Tensor:
    """What the numbers are shaped like."""
    like = creation.zeros(shape, dtype=dtype, device=device)
    if like.dtype.kind != "f":
        raise DTypeError(f"{name}: random numbers are floats; got dtype {like.dtype}")
    return like


def uniform(
    shape: int | Sequence[int],
    low: float = 0.0,
    high: float = 1.0,
    *,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform in [low, high)."""
    like = _float_zeros("uniform", shape, dtype, device)
    numbers = all(isinstance(bound, int | float | np.number) for bound in (low, high))
    largest = float(np.finfo(like.dtype).max)
    if not numbers or not -largest <= low < high <= largest or high - low > largest:
        raise ArgumentError(
            f"uniform: got low {low!r} and high {high!r}; needs low < high, finite and not too far "
            f"apart for {like.dtype}"
        )
    x = uniform_like(like, (generator or default_generator).key(like.size))
    if (low, high) != (0, 1):
        below = float(np.nextafter(like.dtype.type(high), like.dtype.type(low)))
        x = minimum(x * (high - low) + low, below)  # rounding may reach high, never beyond
    return x.requires_grad_(requires_grad)


def normal(
    shape: int | Sequence[int],
    mean: float = 0.0,
    std: float = 1.0,
    *,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with this mean and standard deviation.

    Box, Muller 1958:  √(−2 log u)·cos(2πv) and √(−2 log u)·sin(2πv), for u in (0, 1], v in [0, 1).
    """
    if not 0 <= std < math.inf or not math.isfinite(mean):
        raise ArgumentError(f"normal: needs a finite mean and std ≥ 0; got {mean} and std={std}")
    like = _float_zeros("normal", shape, dtype, device)
    pairs = (like.size + 1) // 2
    uv = uniform((pairs, 2), dtype=dtypes.float64, device=device, generator=generator)
    radius, angle = (-2 * (1 - uv[:, 0]).log()).sqrt(), 2 * math.pi * uv[:, 1]
    both = stack([radius * angle.cos(), radius * angle.sin()], axis=1).flatten()[: like.size]
    x = (both * std + mean).reshape(like.shape).astype(like.dtype)
    return x.requires_grad_(requires_grad)


def integers(
    low: int,
    high: int,
    shape: int | Sequence[int] = (),
    *,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Whole numbers from low to high − 1, int64; high − low is at most 2⁵³."""
    if not (isinstance(low, int | np.integer) and isinstance(high, int | np.integer)):
        raise DTypeError(f"integers: low and high are whole numbers; got {low!r} and {high!r}")
    if not -(2**63) <= low < high <= 2**63 or high - low > 2**53:
        raise ArgumentError(
            "integers: needs low < high, within int64 and at most 2**53 apart; "
            f"got {low} and {high}"
        )
    u = uniform(shape, dtype=dtypes.float64, device=device, generator=generator)
    return (u * int(high - low)).floor().astype(dtypes.int64) + int(low)


def permutation(n: int, *, device: str | None = None, generator: Generator | None = None) -> Tensor:
    """The numbers 0 … n − 1 in a random order."""
    return argsort(uniform(n, dtype=dtypes.float64, device=device, generator=generator))
