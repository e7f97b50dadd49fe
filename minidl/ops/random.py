"""Random tensors, each a function of a key: the seed and the offset of a generator."""

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
from minidl.checks import check_flags, check_integers, refusal
from minidl.errors import (
    ArgumentError,
    DTypeError,
    ShapeError,
    describe,
    named,
    takes_one_shape,
)
from minidl.ops import creation
from minidl.ops.arrangement import unstack
from minidl.ops.cumulative import cumulative_sum
from minidl.ops.elementwise import minimum, nextafter
from minidl.ops.manipulation import stack
from minidl.ops.searching import searchsorted
from minidl.ops.sorting import argsort

# fmt: off
__all__ = [
    "Generator", "bernoulli", "default_generator", "integers", "manual_seed", "multinomial",
    "normal", "permutation", "seed", "uniform", "uniform_like",
]
# fmt: on


class Generator:
    """A seed, and an offset that advances with every number drawn.

    >>> generator = minidl.random.Generator(7)
    >>> x = minidl.random.uniform(3, generator=generator)
    >>> generator
    Generator(seed=7, offset=2)
    >>> y = minidl.random.uniform(3, generator=generator.manual_seed(7))
    >>> minidl.all(x == y)
    Tensor(True, bool)
    """

    def __init__(self, seed: int = 0) -> None:
        self.manual_seed(seed)
        self._lock = Lock()

    def manual_seed(self, seed: int) -> "Generator":
        """Restart: the same seed gives the same numbers."""
        if not isinstance(seed, int | np.integer):
            raise ArgumentError(f"seed: needs an integer; got {describe(seed)}")
        self.seed, self.offset = int(seed) % 2**64, 0
        return self

    def key(self, size: int) -> tuple[int, int]:
        """A key (seed, offset) for `size` numbers that no other key gives."""
        if type(size) is not int or size < 0:
            raise ArgumentError(f"key: needs an integer ≥ 0; got {describe(size)}")
        return once(self._take, size)

    def _take(self, size: int) -> tuple[int, int]:
        with self._lock:
            key = self.seed, self.offset
            self.offset += (size + 1) // 2  # a block of Philox gives two numbers
            return key

    def get_state(self) -> dict[str, int]:
        """The state of the generator, to be saved: its seed and offset."""
        with self._lock:
            return {"seed": self.seed, "offset": self.offset}

    def set_state(self, state: Mapping[str, int]) -> "Generator":
        """Restore a state of `get_state`; raise ArgumentError for anything else."""
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
    """A generator with the state of another."""
    generator = Generator(seed)
    generator.offset = offset
    return generator


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Restart the default generator: the same seed gives the same numbers.

    >>> minidl.manual_seed(5)
    Generator(seed=5, offset=0)
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Restart the default generator from the operating system's randomness; returns the seed.

    >>> number = minidl.random.seed()
    >>> x = minidl.random.uniform(3)
    >>> generator = minidl.manual_seed(number)
    >>> minidl.all(x == minidl.random.uniform(3))
    Tensor(True, bool)
    """
    return manual_seed(int.from_bytes(os.urandom(8))).seed


@primitive
def uniform_like(xp, x, /, key):
    """Numbers in [0, 1) of the shape and dtype of x, from key = (seed, offset).

    The same key gives the same numbers: Philox 4×32, Salmon et al. 2011.

    >>> x = minidl.zeros(3)
    >>> minidl.uniform_like(x, (0, 0))
    Tensor([0.39904642, 0.73571277, 0.97224116], float32)
    """
    if x.dtype.kind == "c":
        raise DTypeError(f"random numbers are real; got {describe(x)}")
    return xp.uniform_like(x, key), None


def _float_zeros(shape: int | Sequence[int], dtype: Any, device: str | None) -> Tensor:
    """Float zeros of the shape of the numbers."""
    dtype = dtypes.default_float if dtype is None else dtypes.dtype_of(dtype)
    if dtype.kind != "f":
        raise DTypeError(f"random numbers are floats; got dtype {dtype}")
    return creation._full(shape, 0, dtype, device)


def check_generator(owner: Any, generator: Any, /) -> None:
    """Raise ArgumentError unless it is a Generator, or None, which means the default one."""
    if not isinstance(generator, Generator | None):
        raise refusal(owner, "generator", "a minidl.random.Generator or None", generator)


def key_of(generator: Generator | None, size: int) -> tuple[int, int]:
    """A key for `size` numbers, of the generator, or of the default one."""
    return (default_generator if generator is None else generator).key(size)


def _key(name: str, generator: Generator | None, size: int) -> tuple[int, int]:
    """The same, after a check of the generator."""
    check_generator(name, generator)
    return key_of(generator, size)


@takes_one_shape
def uniform(
    shape: int | Sequence[int],
    *,
    low: float = 0.0,
    high: float = 1.0,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform in [low, high).

    Raises ArgumentError unless low < high, DTypeError for a dtype that is no float.

    >>> minidl.random.uniform((2, 2), low=-1, high=1)
    Tensor([[-0.20190716,  0.47142553],
            [ 0.9444823 ,  0.38786173]], shape=(2, 2), float32)
    """
    like = _float_zeros(shape, dtype, device)
    numbers = all(isinstance(bound, int | float | np.number) for bound in (low, high))
    largest = float(np.finfo(like.dtype).max)
    if not numbers or not -largest <= low < high <= largest or high - low > largest:
        raise ArgumentError(
            f"got low {low!r} and high {high!r}; needs low < high, finite and not too far "
            f"apart for {like.dtype}"
        )
    x = uniform_like(like, _key("uniform", generator, like.size))
    if (low, high) != (0, 1):
        below = float(np.nextafter(like.dtype.type(high), like.dtype.type(low)))
        x = minimum(x * (high - low) + low, below)  # rounding may reach high, never beyond
    return x.requires_grad_(requires_grad)


@takes_one_shape
def normal(
    shape: int | Sequence[int],
    *,
    mean: float = 0.0,
    std: float = 1.0,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with this mean and standard deviation.

    Box, Muller 1958:  √(−2 log u)·cos(2πv) and √(−2 log u)·sin(2πv), for u in (0, 1], v in [0, 1).
    Raises ArgumentError for an infinite mean or a negative std.

    >>> x = minidl.random.normal(10_000, mean=5.0, std=0.5)
    >>> round(x.mean().item(), 1), round(x.std().item(), 1)
    (5.0, 0.5)
    """
    numbers = all(isinstance(setting, int | float | np.number) for setting in (mean, std))
    if not numbers or not 0 <= std < math.inf or not math.isfinite(mean):
        raise ArgumentError(f"needs a finite mean and std ≥ 0; got mean {mean!r} and std {std!r}")
    like = _float_zeros(shape, dtype, device)
    pairs = (like.size + 1) // 2
    uv = uniform((pairs, 2), dtype=dtypes.float64, device=device, generator=generator)
    radius, angle = (-2 * (1 - uv[:, 0]).log()).sqrt(), 2 * math.pi * uv[:, 1]
    both = stack([radius * angle.cos(), radius * angle.sin()], axis=1).flatten()[: like.size]
    x = (both * std + mean).reshape(like.shape).astype(like.dtype)
    return x.requires_grad_(requires_grad)


@named
def integers(
    low: int,
    high: int,
    shape: int | Sequence[int] = (),
    *,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Uniform integers from low to high − 1, int64; high − low is at most 2⁵³.

    >>> minidl.random.integers(0, 10, (2, 3))
    Tensor([[3, 7, 9],
            [6, 0, 1]], shape=(2, 3), int64)
    """
    if not (isinstance(low, int | np.integer) and isinstance(high, int | np.integer)):
        raise DTypeError(f"low and high are integers; got {low!r} and {high!r}")
    if not -(2**63) <= low < high <= 2**63 or high - low > 2**53:
        raise ArgumentError(
            f"needs low < high, within int64 and at most 2**53 apart; got {low} and {high}"
        )
    u = uniform(shape, dtype=dtypes.float64, device=device, generator=generator)
    return (u * int(high - low)).floor().astype(dtypes.int64) + int(low)


@named
def permutation(n: int, *, device: str | None = None, generator: Generator | None = None) -> Tensor:
    """The integers 0 … n − 1 in random order.

    >>> minidl.random.permutation(5)
    Tensor([4, 0, 3, 1, 2], int64)
    """
    if not isinstance(n, int | np.integer):
        raise DTypeError(f"n is an integer; got {describe(n)}")
    return argsort(uniform(n, dtype=dtypes.float64, device=device, generator=generator))


@named
def bernoulli(p: Any, /, *, generator: Generator | None = None) -> Tensor:
    """1 with probability p and 0 else, for each p, in its dtype; a constant.

    Raises ArgumentError unless every p is a probability.

    >>> minidl.random.bernoulli(minidl.tensor([0.0, 1.0]))
    Tensor([0., 1.], float32)
    """
    p = creation.asarray(p).detach()
    if p.dtype.kind != "f":
        raise DTypeError(f"probabilities are floats; got {describe(p)}")
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ArgumentError(f"probabilities are from 0 to 1; got {p.tolist()!r:.60}")
    u = uniform(p.shape, dtype=dtypes.float64, device=p.device, generator=generator)
    return (u < p).astype(p.dtype)


@named
def multinomial(
    weights: Any,
    /,
    *,
    num_samples: int = 1,
    replacement: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Draw indices, each with a probability proportional to its weight, from every row: int64.

    weights        (n,) or (rows, n), numbers ≥ 0, not all of a row 0; they need not have the sum 1
    num_samples    how many are drawn
    replacement    whether an index can be drawn several times.  Without, at most as many are drawn
                   as there are weights above 0: those with the least of n exponential times with
                   these rates, P. Efraimidis, P. Spirakis 2006
    gives          (num_samples,) or (rows, num_samples)

    >>> minidl.random.multinomial(minidl.tensor([0.0, 3.0, 0.0, 1.0]), num_samples=2).sort()
    Tensor([1, 3], int64)
    """
    weights = creation.asarray(weights).detach()
    check_integers("multinomial", 1, num_samples=num_samples)
    check_flags("multinomial", replacement=replacement)
    if weights.ndim not in (1, 2) or not weights.shape[-1]:
        raise ShapeError(f"weights are a vector, or rows of them; got {describe(weights)}")
    if weights.dtype.kind not in "fiu":
        raise DTypeError(f"weights are real numbers; got {describe(weights)}")
    wide = weights.astype(dtypes.float64)
    positive = (wide > 0).astype(dtypes.int64).sum(axis=-1)
    if not bool(((wide >= 0) & (wide < math.inf)).all()) or not bool((positive > 0).all()):
        raise ArgumentError(
            f"weights are finite, ≥ 0, and above 0 somewhere in each row; got "
            f"{weights.tolist()!r:.60}"
        )
    if not replacement and bool((positive < num_samples).any()):
        raise ArgumentError(
            f"{num_samples} different indices need as many weights above 0; got "
            f"{weights.tolist()!r:.60}"
        )
    count = num_samples if replacement else weights.shape[-1]
    shape = (*weights.shape[:-1], count)
    u = uniform(shape, dtype=dtypes.float64, device=weights.device, generator=generator)
    if not replacement:
        times = -(1 - u).log() / wide
        return argsort(times, axis=-1)[..., :num_samples]
    edges = cumulative_sum(wide, axis=-1)
    total = edges[..., -1:]
    points = minimum(u * total, nextafter(total, 0.0))  # rounding may reach the total
    if weights.ndim == 1:
        return searchsorted(edges, points, side="right")
    rows = zip(unstack(edges), unstack(points), strict=True)
    return stack([searchsorted(own, drawn, side="right") for own, drawn in rows])
