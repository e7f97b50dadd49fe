"""All gradients at once: clipped by their norm or by value, or unscaled, in one launch or two.

Nothing waits for the GPU: norms, scales and flags stay on it.  Results are new arrays.
"""

from collections.abc import Callable, Sequence
from typing import Any

import cupy
import numpy as np

from minidl_cuda.array import Array
from minidl_cuda.kernels.guard import are_arrays, contiguous
from minidl_cuda.kernels.multi_tensor import THREADS, launches
from minidl_cuda.launch import Module

_module = Module("gradients.cu")
_norm_parts, _clip = _module.kernel("norm_parts_f32"), _module.kernel("clip_f32")
_clamp, _unscale = _module.kernel("clamp_f32"), _module.kernel("unscale_f32")
_update_scale = _module.kernel("update_scale")

_MOST_BLOCKS = 512  # that add up parts of a norm, and of those that scale by it
_PART = 6  # floats: three compensated sums
_copies: list[tuple[Any, np.ndarray]] = []  # which may be under way when nobody wants them any more


def clip_norm(gradients: Sequence[Array], max_norm: float) -> Any:
    """The gradients times min(1, max_norm / (n + 1e-6)), and n = √Σ g², without axes."""
    if not _suit(gradients):
        return NotImplemented
    gradients = [contiguous(g) for g in gradients]
    norms = [(struct, n, min(_MOST_BLOCKS, n)) for struct, n in launches([[g] for g in gradients])]
    if not norms:
        return gradients, cupy.zeros((), "float32")
    count = sum(grid for *_, grid in norms)
    parts, first = cupy.empty((count, _PART), "float32"), 0
    for struct, chunks, grid in norms:
        _norm_parts(grid, THREADS, (struct, np.int32(chunks), parts[first:]))
        first += grid
    norm, clipped = cupy.empty((), "float32"), [cupy.empty_like(g) for g in gradients]
    for struct, chunks in launches(list(zip(gradients, clipped, strict=True))):
        numbers = np.int32(count), np.float32(max_norm)
        arguments = struct, np.int32(chunks), parts, *numbers, norm
        _clip(min(_MOST_BLOCKS, chunks), THREADS, arguments)
    return clipped, norm


def clip_value(gradients: Sequence[Array], bound: float) -> Any:
    """min(max(g, −bound), bound) of each; NaN stays NaN."""
    if not _suit(gradients):
        return NotImplemented
    gradients = [contiguous(g) for g in gradients]
    clipped = [cupy.empty_like(g) for g in gradients]
    for struct, chunks in launches(list(zip(gradients, clipped, strict=True))):
        _clamp(chunks, THREADS, (struct, np.float32(bound)))
    return clipped


def unscale(gradients: Sequence[Array], scale: Array, found: Array) -> Any:
    """g / scale of each; `found`, a float32 without axes, becomes 1 if any is not finite."""
    if not _suit(gradients):
        return NotImplemented
    gradients = [contiguous(g) for g in gradients]
    unscaled = [cupy.empty_like(g) for g in gradients]
    for struct, chunks in launches(list(zip(gradients, unscaled, strict=True))):
        _unscale(chunks, THREADS, (struct, scale, found))
    return unscaled


def update_scale(
    scale: Array, steps: Array, found: Array, growth: float, backoff: float, interval: int
) -> None:
    """In place: a scale that shrinks if `found` is not 0, and grows after `interval` steps."""
    numbers = np.float32(growth), np.float32(backoff), np.int32(interval)
    _update_scale(1, 32, (scale, steps, found, *numbers))


def read_later(x: Array) -> Callable[[], float]:
    """Begin to copy a number to the host; a function that waits for this copy, and returns it."""
    memory = cupy.cuda.alloc_pinned_memory(x.nbytes)
    host = np.frombuffer(memory, x.dtype, 1).reshape(())
    x.get(out=host, blocking=False)
    copied = cupy.cuda.get_current_stream().record()
    _copies[:] = [(event, to) for event, to in _copies if not event.done]
    _copies.append((copied, host))

    def read() -> float:
        if not copied.done:
            copied.synchronize()
        return float(host)

    return read


def _suit(gradients: Sequence[Array]) -> bool:
    return bool(gradients) and are_arrays("f", *gradients)
