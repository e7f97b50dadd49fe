"""The two directions of a convolution, each by the cheaper of two ways.

One lays zeros around the picture and multiplies with them; its lanes are positions (`correlate`).
The other multiplies with none; its lanes are outputs (`correlate_classes`).  Which is cheaper, the
number of products tells.
"""

import numpy as np

from minidl.backends.kernels import conv_classes, conv_plan
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
    sizes = at, x.shape[1], y.shape[1]
    plan = conv_plan.forward(*sizes)
    classes = conv_classes.forward(*sizes, _worth(plan))
    if classes is None:
        correlate(x, weight, bias, y, least, plan, EVERYWHERE)
    else:
        correlate_classes(x, weight, bias, y, least, classes, EVERYWHERE)


def convolve_back(
    dy: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    dx: np.ndarray,
    at: Convolution,
    passes: np.ndarray = EVERYWHERE,
) -> None:
    """dx = Σ dy·w + b, of dy where `passes` is positive."""
    sizes = at, dx.shape[1], dy.shape[1]
    plan = conv_plan.backward(*sizes)
    classes = conv_classes.backward(*sizes, _worth(plan))
    if classes is None:
        correlate(dy, weight, bias, dx, -np.inf, plan, passes)
    else:
        correlate_classes(dy, weight, bias, dx, -np.inf, classes, passes)


def _worth(plan: Plan) -> int:
    """How many products the other way may take to be the cheaper one."""
    return int(0.92 * plan.products * plan.rows.size / plan.outputs)
