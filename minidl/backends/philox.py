"""Philox, a counter-based random number generator: number i depends on a seed and i alone.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011)
scrambles a 128-bit counter with a 64-bit key in ten rounds of multiply and xor.  Block b of a
stream consists of the four numbers of counter b, so any part of it can be computed on any device,
in any order, with the same result.
"""

from types import ModuleType
from typing import Any

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
LOW = 0xFFFFFFFF


def philox(xp: ModuleType, seed: int, offset: int, blocks: int) -> tuple[Any, Any, Any, Any]:
    """The four numbers of each of `blocks` counters, the first of which is `offset`.

    Each is an array of 32-bit integers, stored as uint64 so that products do not overflow.
    """
    counter = xp.arange(offset, offset + blocks, 1, dtype="uint64")
    c0, c1, c2, c3 = counter & LOW, counter >> 32, counter * 0, counter * 0
    k0, k1 = seed & LOW, (seed >> 32) & LOW
    for _ in range(10):
        first, second = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1 = (second >> 32) ^ c1 ^ k0, second & LOW
        c2, c3 = (first >> 32) ^ c3 ^ k1, first & LOW
        k0, k1 = (k0 + KEY_STEPS[0]) & LOW, (k1 + KEY_STEPS[1]) & LOW
    return c0, c1, c2, c3


def uniform_like(xp: ModuleType, x: Any, key: tuple[int, int]) -> Any:
    """Uniform numbers in [0, 1) of the shape and dtype of x; they consume ⌈size/2⌉ blocks.

    A float64 has 53 random bits, from two 32-bit numbers; a float32 is the same number truncated to
    24 bits, so that both dtypes draw the same numbers.
    """
    c0, c1, c2, c3 = philox(xp, *key, (x.size + 1) // 2)
    bits = xp.stack([c0 << 32 | c1, c2 << 32 | c3], axis=1)
    bits_used = 24 if x.dtype == "float32" else 11 if x.dtype == "float16" else 53
    flat = xp.reshape(bits >> (64 - bits_used), (-1,))[: x.size]
    return xp.reshape(xp.astype(flat, x.dtype) * 2.0**-bits_used, x.shape)
