"""Cross-entropy, fused (cross_entropy.cu): two launches forward, one back.

No array of log-probabilities is made: saved are the logits and two numbers a row.  Class numbers
are checked on the way; the error is raised at the next wait.
"""

import math
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import cupy as cp
import numpy as np

from minidl.autograd.tensor import Tensor
from minidl.backends.joint import Joint
from minidl.checks import is_integer
from minidl_cuda.checks import deferred, outside
from minidl_cuda.kernels.guard import SUFFIX, are_arrays, blocks, contiguous
from minidl_cuda.launch import Kernel, Module

Array: TypeAlias = cp.ndarray

_module = Module("cross_entropy.cu")
_THREADS, _MOST_BLOCKS = 256, 2048
_WARP = 1024  # classes, up to which a warp has a row
_SETTINGS = np.dtype(
    [("rows", "i8"), ("columns", "i8"), ("ignored", "i8"), ("classes", "i4"), ("smoothing", "f4")]
)


@cache
def _kernel(name: str) -> Kernel:
    return _module.kernel(name)


class _Call(NamedTuple):
    """A call whose arrays are contiguous, and which the kernels are for."""

    logits: Array
    labels: Array | None
    probabilities: Array | None
    weight: Array | None
    shape: tuple[int, ...]  # of the losses
    settings: Any
    reduction: str

    @property
    def arrays(self) -> tuple[Array | None, ...]:
        return self.logits, self.labels, self.probabilities, self.weight

    @property
    def team(self) -> tuple[str, int]:
        """What has a row: a thread, a warp or a block."""
        if self.settings["columns"] > 1:
            return "columns", 1
        return ("rows", 32) if self.settings["classes"] <= _WARP else ("long_rows", _THREADS)

    @property
    def blocks(self) -> int:
        """At most so many that one block can add up what they give."""
        return min(blocks(int(self.settings["rows"]) * self.team[1], _THREADS), _MOST_BLOCKS)

    def launch(self, way: str, arguments: tuple[Any, ...]) -> None:
        """Launch the kernel of this team."""
        kernel = _kernel(f"cross_entropy_{self.team[0]}{way}_{SUFFIX[self.logits.dtype.char]}")
        kernel(self.blocks, _THREADS, (*self.arrays, *arguments))


def cross_entropy(
    logits: Array,
    target: Array,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """−Σ t·log softmax(logits), t the target;   dlogits = (Σ t·softmax(logits) − t)·dy."""
    call = _call(logits, target, weight, ignore_index, reduction, label_smoothing)
    if call is None:
        return NotImplemented
    rows, suffix = int(call.settings["rows"]), SUFFIX[logits.dtype.char]
    stats, total, parts = cp.empty((rows, 2), np.float32), None, None
    y = cp.empty(call.shape if reduction == "none" else (), logits.dtype)
    losses = y if reduction == "none" else None
    if losses is None:
        total, parts = cp.empty((), np.float32), cp.empty((_MOST_BLOCKS, 2, 2), np.float32)
    with deferred(outside(int(call.settings["classes"]))) as slot:
        call.launch("", (stats, losses, parts, call.settings, *slot))
    if losses is None:
        count, is_mean = np.int32(call.blocks), np.int32(reduction == "mean")
        _kernel(f"cross_entropy_total_{suffix}")(1, _THREADS, (parts, count, is_mean, y, total))

    def pullback(needed: tuple[bool, ...], dy: Array) -> tuple[Array | None, ...]:
        dlogits = cp.empty(logits.shape, logits.dtype) if needed[0] else None
        dtarget = cp.empty(logits.shape, logits.dtype) if needed[1] else None
        if needed[0] or needed[1]:
            every, dy = np.int32(reduction == "none"), contiguous(dy)
            arguments = stats, dy, total, dlogits, dtarget, call.settings, every
            call.launch("_back", arguments)
        return dlogits, dtarget

    return y, Joint(pullback)


def _call(
    logits: Any, target: Any, weight: Any, ignore_index: Any, reduction: Any, smoothing: Any
) -> _Call | None:
    """The guard; the body raises the errors, and learns weights.

    The weights are a setting, not an input: a tensor.
    """
    if weight is not None:
        if not isinstance(weight, Tensor) or weight.requires_grad:
            return None
        weight = weight.data
    if not are_arrays("fe", logits, weight) or not logits.size or not logits.ndim:
        return None
    if type(target) is not cp.ndarray or reduction not in ("mean", "sum", "none"):
        return None
    axis = min(1, logits.ndim - 1)
    shape = logits.shape[:axis] + logits.shape[axis + 1 :]
    classes = logits.shape[axis]
    if not is_integer(ignore_index) or not -(2**63) <= ignore_index < 2**63:
        return None
    if type(smoothing) not in (float, int) or not 0 <= smoothing <= 1:
        return None
    if weight is not None and weight.shape != (classes,):
        return None
    labels = probabilities = None
    if target.shape == logits.shape:
        if target.dtype != logits.dtype or ignore_index >= 0:
            return None
        probabilities = contiguous(target)
    elif target.shape == shape and target.dtype.kind in "iu" and target.dtype != np.uint64:
        labels = contiguous(target.astype("int64", copy=False))
    else:
        return None
    columns = math.prod(logits.shape[axis + 1 :])
    numbers = logits.size // classes, columns, int(ignore_index), classes, smoothing
    settings = np.array(numbers, _SETTINGS)[()]
    arrays = contiguous(logits), labels, probabilities, contiguous(weight)
    return _Call(*arrays, shape, settings, reduction)
