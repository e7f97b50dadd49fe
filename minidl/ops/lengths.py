"""The lengths of the sequences of a batch, and the steps that these have."""

from typing import Any

import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.backends import device
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.ops.creation import arange, asarray

_HOST = device("cpu")


def lengths_of(
    name: str, given: Any, n: int, minimum: int = 0, maximum: int | None = None, of: str = "input"
) -> np.ndarray:
    """The lengths of n sequences, from a list, an array or a tensor; for one, also from a number.

    Those of a tensor on a GPU are read back, which waits for it, unless the host has sent them.

    name             the argument, for errors
    maximum, of      the length of what they are lengths in, and what that is
    """
    with _HOST:  # whatever the default device is
        lengths = asarray(given).numpy()
    lengths = lengths.reshape(1) if lengths.ndim == 0 and n == 1 else lengths
    if lengths.shape != (n,):
        raise ShapeError(f"{name} has one number for each of {n} sequences; got {lengths.shape}")
    if n and lengths.dtype.kind not in "iu":
        raise DTypeError(f"{name} are integers; got {describe(given)}")
    if (lengths < minimum).any() or maximum is not None and (lengths > maximum).any():
        bound = "on" if maximum is None else f"to {maximum}, the length of {of}"
        raise ArgumentError(f"{name} are from {minimum} {bound}; got {lengths.tolist()}")
    return lengths.astype("int64")


def steps_of(lengths: np.ndarray, total: int) -> np.ndarray:
    """Which of `total` steps a sequence of each length has: bools (total, n)."""
    return np.arange(total)[:, None] < lengths


def steps_on(there: str, given: Any, lengths: np.ndarray, total: int) -> Tensor:
    """The same as a tensor on a device, where the lengths that were given may be already.

    given      what the lengths were read from
    """
    if isinstance(given, Tensor) and given.device == there and there != "cpu":
        steps = arange(total, device=there).reshape((total, 1))
        return steps < given.astype("int64", copy=False).reshape((1, -1))
    return asarray(steps_of(lengths, total), device=there)
