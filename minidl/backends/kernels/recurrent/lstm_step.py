"""One step of an LSTM: the gates and the new state; and a short way for a step by itself.

Text is generated step by step, one sequence, and nothing is recorded.  Such a step takes a few
microseconds, most of them to read the weights once.  What is prepared for whole sequences, offsets,
packed weights, memory for all states, would take longer than that; here the kernel gets the arrays
as they are.
"""

from typing import Any

import numpy as np

from minidl.backends.kernels.recurrent.panels import FEW, copy, dot_both, padded
from minidl.backends.kernels.recurrent.sequence import summed_bias
from minidl.backends.kernels.recurrent.steps import sigmoids, tanhs
from minidl.backends.kernels.runtime.kernel import as_contiguous, compiled, inner
from minidl.backends.kernels.runtime.workspace import scratch
from minidl.backends.kernels.simd.intrinsics import pointer
from minidl.backends.kernels.simd.math import tanh32
from minidl.backends.mode import current


def is_single_step(x: np.ndarray, mask: Any, weight_hr: Any) -> bool:
    """Whether this is a step of few sequences, of which nothing is recorded."""
    few = len(x) == 1 and x.shape[1] <= FEW
    return few and mask is None and weight_hr is None and not current.get().record


def single_step(
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    bias_ih: np.ndarray | None,
    bias_hh: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y, h′ and c′ of such a step."""
    size = len(weight_ih)
    shapes = (1, *h.shape), h.shape, c.shape
    y, h_after, c_after = (np.empty(shape, np.float32) for shape in shapes)
    _step(
        as_contiguous(x),
        as_contiguous(h),
        as_contiguous(c),
        as_contiguous(weight_ih),
        as_contiguous(weight_hh),
        summed_bias(bias_ih, bias_hh, size),
        y,
        h_after,
        c_after,
        scratch(2, padded(size)),
    )
    return y, h_after, c_after


@compiled(
    "f32[t,n,in] f32[n,h] f32[n,h] f32[gate,in] f32[gate,h] f32[gate]"
    " f32[t,n,h] f32[n,h] f32[n,h] f32[two,gates]"
)
def _step(x, h, c, weight_ih, weight_hh, bias, y, h_after, c_after, workspace):
    """h′, twice, and c′."""
    pre, gates = workspace[0], workspace[1, : bias.size]
    for i in range(h.shape[0]):
        dot_both(weight_ih, x[0, i], weight_hh, h[i], pre)
        activate(pre, bias, gates)
        update(gates, c[i], c_after[i], h_after[i])
        copy(pointer(h_after[i], 0), pointer(y[0, i], 0), h.shape[1])


@inner
def activate(pre, bias, gates):
    """σ(i), σ(f), tanh g, σ(o)."""
    h = gates.size // 4
    sigmoids(pre, bias, gates[: 2 * h])
    tanhs(pre[2 * h :], bias[2 * h :], gates[2 * h : 3 * h])
    sigmoids(pre[3 * h :], bias[3 * h :], gates[3 * h :])


@inner
def update(gates, before, after, state):
    """c′ = f·c + i·g;   o·tanh c′."""
    hidden = before.size
    i, f, g, o = (
        gates[:hidden],
        gates[hidden : 2 * hidden],
        gates[2 * hidden : 3 * hidden],
        gates[3 * hidden :],
    )
    for j in range(hidden):
        after[j] = f[j] * before[j] + i[j] * g[j]
    for j in range(hidden):
        state[j] = o[j] * tanh32(after[j])
