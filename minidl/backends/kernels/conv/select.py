"""The two directions of a convolution, each by the cheapest of three ways.

One lays zeros around the picture and multiplies with them; its lanes are positions (`correlate`).
The second multiplies with none; its lanes are outputs (`correlate_classes`).  The third is for
windows of three by three alone, and saves products by sums (`correlate_winograd`).  Which is
cheapest, the number of products tells.
"""

from functools import lru_cache

import numpy as np

from minidl.backends.kernels.conv import implicit_gemm_plan, padding_free_plan, winograd_plan
from minidl.backends.kernels.conv.implicit_gemm import NO_ARGMAX, NO_MASK, correlate
from minidl.backends.kernels.conv.implicit_gemm_plan import Plan
from minidl.backends.kernels.conv.padding_free import correlate_classes
from minidl.backends.kernels.conv.padding_free_plan import Classes
from minidl.backends.kernels.conv.winograd import correlate_winograd
from minidl.backends.kernels.conv.winograd_plan import Winograd
from minidl.backends.kernels.pool.max_pool_2x2 import largest_by_twos
from minidl.backends.kernels.runtime.compile import as_contiguous
from minidl.backends.window import Convolution

Ways = tuple[Winograd | None, Plan | Classes]  # if the first fails, the second does not


def convolve(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    y: np.ndarray,
    at: Convolution,
    least: float = -np.inf,
) -> None:
    """y = max(Σ x·w + b, least)."""
    _run(_forward(at, x.shape[1], y.shape[1]), x, weight, bias, y, least, NO_MASK)


def convolve_and_pool(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    y: np.ndarray,
    taken: np.ndarray,
    at: Convolution,
) -> None:
    """y = the largest of each square of two by two of Σ x·w + b, at least 0, and its place.

    Where sums lie in rows, they are pooled before they are written.
    """
    squares, plan = _forward(at, x.shape[1], y.shape[1])
    if squares and correlate_winograd(x, weight, bias, y, 0.0, squares, NO_MASK, taken):
        return
    if not squares and type(plan) is Plan and (plan.block % 2 == 0 or plan.block == at.output[0]):
        correlate(x, weight, bias, y, 0.0, plan, NO_MASK, taken)
        return
    whole = np.empty((*y.shape[:2], *at.output), np.float32)
    _run((None, plan), x, weight, bias, whole, -np.inf, NO_MASK)
    largest_by_twos(whole, y, taken, relu=True)


def convolve_back(
    dy: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    dx: np.ndarray,
    at: Convolution,
    passes: np.ndarray = NO_MASK,
) -> None:
    """dx = Σ dy·w + b, of dy where `passes` is positive."""
    _run(_backward(at, dx.shape[1], dy.shape[1]), dy, weight, bias, dx, -np.inf, passes)


def bias_or_zeros(bias: np.ndarray | None, outputs: int) -> np.ndarray:
    """The bias of each output, as kernels take it."""
    return np.zeros(outputs, np.float32) if bias is None else as_contiguous(bias)


def _run(
    ways: Ways,
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    y: np.ndarray,
    least: float,
    passes: np.ndarray,
) -> None:
    squares, plan = ways
    if squares and correlate_winograd(x, weight, bias, y, least, squares, passes, NO_ARGMAX):
        return
    by = correlate_classes if type(plan) is Classes else correlate
    by(x, weight, bias, y, least, plan, passes)


@lru_cache(maxsize=256)
def _forward(at: Convolution, channels: int, outputs: int) -> Ways:
    plan = implicit_gemm_plan.forward(at, channels, outputs)
    plan = padding_free_plan.forward(at, channels, outputs, _worth(plan)) or plan
    return _if_worth(winograd_plan.forward(at, channels, outputs), plan), plan


@lru_cache(maxsize=256)
def _backward(at: Convolution, channels: int, outputs: int) -> Ways:
    plan = implicit_gemm_plan.backward(at, channels, outputs)
    plan = padding_free_plan.backward(at, channels, outputs, _worth(plan)) or plan
    return _if_worth(winograd_plan.backward(at, channels, outputs), plan), plan


def _worth(plan: Plan) -> int:
    """How many products the classes may take to be the cheaper way."""
    return int(0.92 * _products(plan))


def _products(plan: Plan) -> float:
    """How many it takes to lay zeros around the picture."""
    return plan.products * plan.rows.size / plan.outputs


def _if_worth(squares: Winograd | None, plan: Plan | Classes) -> Winograd | None:
    """The third way, if it is the cheaper one.

    What it adds before and after takes its time, the less the more channels and outputs there are;
    classes take some time to be put together (measured, from 16 to 256 channels).
    """
    if squares is None:
        return None
    cost = squares.products * squares.begins.size / squares.outputs
    cost *= 1.1 + 12 / squares.outputs + 14 / squares.channels
    other = 1.25 * plan.products if type(plan) is Classes else _products(plan)
    return squares if cost < other else None
