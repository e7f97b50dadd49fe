"""Fourier transforms: the array API standard's extension `fft`, and more, with gradients.

Transforms of float32 are complex64, of float64 complex128; integers become float32 first.
"""

from math import isfinite
from typing import Any

from minidl import dtypes
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, describe, named
from minidl.ops.creation import arange
from minidl.ops.fourier import (
    fft,
    fftn,
    fftshift,
    hfft,
    ifft,
    ifftn,
    ifftshift,
    ihfft,
    irfft,
    irfftn,
    rfft,
    rfftn,
)
from minidl.ops.manipulation import concat
from minidl.ops.short_time_fourier import istft, stft

__all__ = [
    "fft",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfftn",
    "istft",
    "rfft",
    "rfftfreq",
    "rfftn",
    "stft",
]


@named
def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | None = None) -> Tensor:
    """The frequencies of the n elements of `fft`: (0, 1, …, −2, −1) / (n·d), in cycles per unit.

    The first ⌈n/2⌉ count up from 0, the others from −⌊n/2⌋ to −1.

    d    the distance of two points; dtype: a float, default float32

    >>> minidl.fft.fftfreq(4, d=0.25)
    Tensor([ 0.,  1., -2., -1.], float32)
    """
    dtype = _checked("fftfreq", n, d, dtype)
    halves = [arange(0, (n + 1) // 2, device=device), arange(-(n // 2), 0, device=device)]
    return (concat(halves).astype("float64") / (n * d)).astype(dtype)


@named
def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: str | None = None) -> Tensor:
    """The frequencies of the ⌊n/2⌋ + 1 elements of `rfft` of n points: (0, 1, …) / (n·d).

    d    the distance of two points; dtype: a float, default float32

    >>> minidl.fft.rfftfreq(4, d=0.25)
    Tensor([0., 1., 2.], float32)
    """
    dtype = _checked("rfftfreq", n, d, dtype)
    counts = arange(0, n // 2 + 1, device=device)
    return (counts.astype("float64") / (n * d)).astype(dtype)


def _checked(name: str, n: Any, d: Any, dtype: Any) -> Any:
    """The dtype of the frequencies, once the arguments are right."""
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ArgumentError(f"{name}: n is a number of points, ≥ 1; got {describe(n)}")
    if not isinstance(d, int | float) or isinstance(d, bool) or d == 0 or not isfinite(d):
        raise ArgumentError(f"{name}: d is the distance of two points; got {describe(d)}")
    dtype = dtypes.default_float if dtype is None else dtypes.dtype_of(dtype, name)
    if not dtypes.is_float(dtype):
        raise DTypeError(f"{name}: frequencies are real floating point; got dtype {dtype}")
    return dtype
