"""The two directions of a convolution, each by the cheaper of two ways.

One lays zeros around the picture and multiplies with them; its lanes are positions (`correlate`).
The other multiplies with none; its lanes are outputs (`correlate_classes`).  Which is cheaper, the
number of products tells.
"""

from functools import lru_cache

import numpy as np

from minidl.backends.kernels import conv_classes, conv_plan
from minidl.backends.kernels.conv_classes import Classes
from minidl.backends.kernels.conv_plan import Plan
from minidl.backends.kernels.correlate import EVERYWHERE, correlate
from minidl.backends.kernels.correlate_classes import correlate_classes
from minidl.backends.window import Convolution


def convolve(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    y: np.ndarray,
    at: Convolution,
    least: float = -np.inf,
) -> None:
    """y = max(Σ x·w + b, least)."""
    plan = _forward(at, x.shape[1], y.shape[1])
    by = correlate_classes if type(plan) is Classes else correlate
    by(x, weight, bias, y, least, plan, EVERYWHERE)


def convolve_back(
    dy: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    dx: np.ndarray,
    at: Convolution,
    passes: np.ndarray = EVERYWHERE,
) -> None:
    """dx = Σ dy·w + b, of dy where `passes` is positive."""
    plan = _backward(at, dx.shape[1], dy.shape[1])
    by = correlate_classes if type(plan) is Classes else correlate
    by(dy, weight, bias, dx, -np.inf, plan, passes)


@lru_cache(maxsize=256)
def _forward(at: Convolution, channels: int, outputs: int) -> Plan | Classes:
    plan = conv_plan.forward(at, channels, outputs)
    return conv_classes.forward(at, channels, outputs, _worth(plan)) or plan


@lru_cache(maxsize=256)
def _backward(at: Convolution, channels: int, outputs: int) -> Plan | Classes:
    plan = conv_plan.backward(at, channels, outputs)
    return conv_classes.backward(at, channels, outputs, _worth(plan)) or plan


def _worth(plan: Plan) -> int:
    """How many products the other way may take to be the cheaper one."""
    return int(0.92 * plan.products * plan.rows.size / plan.outputs)
