"""Batch norm (batch_norm.cu): two launches each way; one forward where the moments are given.

A third one forward keeps the running moments.

Saved are x, and three numbers a channel: the mean, in two floats, and rstd.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import cupy as cp
import numpy as np

from minidl.backends.joint import Joint
from minidl_cuda.array import Array
from minidl_cuda.kernels.channel_sums import THREADS, channel_parts, layout
from minidl_cuda.kernels.guard import SUFFIX, are_arrays, contiguous
from minidl_cuda.kernels.layer_norm import are_of_channels, is_positive
from minidl_cuda.launch import Kernel, Module

_module = Module("batch_norm.cu")
_CUMULATIVE = math.nan  # in the place of a momentum: the mean over all batches


@cache
def _kernel(name: str) -> Kernel:
    return _module.kernel(name)


def batch_norm(
    x: Array, weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5
) -> Any:
    """y = (x − mean)·rstd·weight + bias, and the mean and the variance of each channel.

    dx = weight·rstd·(dy − Σ dy / n − x̂·Σ dy·x̂ / n),   dweight = Σ dy·x̂,   dbias = Σ dy,
    where x̂ = (x − mean)·rstd.
    """
    if not are_of_channels(x, weight, bias) or not is_positive(eps):
        return NotImplemented
    mean, var = (cp.empty(x.shape[1:2], x.dtype) for _ in range(2))
    y, gradients = _normalize(x, mean, var, weight, bias, eps, given=False)

    def pullback(needed: tuple[bool, ...], dy: Array, *_: Any) -> tuple[Array | None, ...]:
        dx, _, _, dweight, dbias = gradients(dy, needed[0])
        return (dx, dweight, dbias)[: len(needed)]

    return (y, mean, var), Joint(pullback)


def batch_norm_inference(
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Any:
    """y = (x − mean)·rstd·weight + bias, with a given mean and variance of each channel.

    dx = weight·rstd·dy,   dweight = Σ dy·x̂,   dbias = Σ dy,
    dmean = −weight·rstd·Σ dy,   dvar = −weight·rstd²·Σ dy·x̂ / 2.
    """
    if mean is None or var is None or not is_positive(eps):
        return NotImplemented
    if not are_of_channels(x, mean, var, weight, bias):
        return NotImplemented
    given = contiguous(mean), contiguous(var)
    y, gradients = _normalize(x, *given, weight, bias, eps, given=True)

    def pullback(needed: tuple[bool, ...], dy: Array) -> tuple[Array | None, ...]:
        return gradients(dy, needed[0])[: len(needed)]

    return y, Joint(pullback)


def track_moments(
    batches: Array,
    running: Sequence[Array],
    moments: Sequence[Array],
    momentum: float | None,
    count: int,
) -> Any:
    """In place: batches + 1, and running ← (1 − m)·running + m·moment, of mean and variance.

    m is 1 / batches without a momentum; the variance is made unbiased, times count / (count − 1).
    """
    mean, var = running
    if not are_arrays("f", mean, var, *moments) or batches.dtype != np.int64:
        return NotImplemented
    if not all(x.flags.c_contiguous for x in (mean, var)):
        return NotImplemented
    share = _CUMULATIVE if momentum is None else momentum
    numbers = (np.float32(x) for x in (share, 1 - share, count / (count - 1)))
    arrays = batches, mean, var, *map(contiguous, moments)
    _kernel("batch_norm_track_f32")(1, THREADS, (*arrays, np.int32(mean.size), *numbers))
    return None


def _normalize(
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    *,
    given: bool,
) -> Any:
    """y, and the function that gives dx, dmean, dvar, dweight and dbias.

    Unless they are given, mean and var get the moments.
    """
    shape, suffix = x.shape, SUFFIX[x.dtype.char]
    x, weight, bias = contiguous(x), contiguous(weight), contiguous(bias)
    division = layout(shape[0], shape[1], math.prod(shape[2:]))
    grid, form = division.blocks, f"{division.wide}_{suffix}"
    parts = None
    if not given:
        parts = cp.empty((division.chunks, shape[1], 4), np.float32)
        _kernel(f"batch_norm_moments_{form}")(grid, THREADS, (x, parts, division.struct))
    y, stats = cp.empty(shape, x.dtype), cp.empty((shape[1], 3), np.float32)
    arrays = x, parts, weight, bias, mean, var, y, stats
    _kernel(f"batch_norm_{form}")(grid, THREADS, (*arrays, division.struct, np.float32(eps)))

    def gradients(dy: Array, wants_dx: bool) -> tuple[Array | None, ...]:
        dy = contiguous(dy)
        sums = channel_parts(dy, x, stats, division, (0, 1))
        dx = cp.empty(shape, x.dtype) if wants_dx else None
        dmean, dvar = (cp.empty(shape[1:2], x.dtype) if given else None for _ in range(2))
        dweight, dbias = (
            None if v is None else cp.empty(shape[1:2], x.dtype) for v in (weight, bias)
        )
        results = dx, dmean, dvar, dweight, dbias
        arguments = dy, x, weight, stats, sums, *results, division.struct
        _kernel(f"batch_norm_back_{form}")(grid, THREADS, arguments)
        return results

    return y, gradients
