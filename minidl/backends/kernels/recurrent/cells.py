"""Single steps of recurrent networks, as sequences of one step."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.backends.joint import Joint
from minidl.backends.kernels.recurrent.gru import gru
from minidl.backends.kernels.recurrent.lstm import lstm
from minidl.backends.kernels.recurrent.rnn import rnn


def rnn_cell(
    x: np.ndarray,
    h: np.ndarray,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    bias_ih: np.ndarray | None = None,
    bias_hh: np.ndarray | None = None,
    /,
    *,
    nonlinearity: str = "tanh",
) -> Any:
    """h′ = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or relu."""
    weights = weight_ih, weight_hh, bias_ih, bias_hh, None
    return _one_step(x, (h,), lambda x, h: rnn(x, h, *weights, nonlinearity=nonlinearity))


def lstm_cell(
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    bias_ih: np.ndarray | None = None,
    bias_hh: np.ndarray | None = None,
    weight_hr: np.ndarray | None = None,
    /,
) -> Any:
    """h′ and c′."""
    weights = weight_ih, weight_hh, bias_ih, bias_hh, weight_hr
    return _one_step(x, (h, c), lambda x, h, c: lstm(x, h, c, *weights))


def gru_cell(
    x: np.ndarray,
    h: np.ndarray,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    bias_ih: np.ndarray | None = None,
    bias_hh: np.ndarray | None = None,
    /,
) -> Any:
    """h′."""
    weights = weight_ih, weight_hh, bias_ih, bias_hh
    return _one_step(x, (h,), lambda x, h: gru(x, h, *weights))


def _one_step(x: Any, states: tuple[Any, ...], sequence: Callable[..., Any]) -> Any:
    """The states after a step of x, (N, in) or (in,), and the pullback; the mask has none."""
    arrays = x, *states
    if any(type(array) is not np.ndarray or array.ndim != x.ndim for array in arrays):
        return NotImplemented
    single = x.ndim == 1
    x, *rows = (array[None] for array in arrays) if single else arrays
    result = sequence(x[None], *rows)
    if result is NotImplemented:
        return NotImplemented
    (_, *after), joint = result
    shapes = [array.shape for array in arrays]
    states_after = tuple([s[0] for s in after] if single else after)
    value = states_after if len(after) > 1 else states_after[0]
    if joint is None:
        return value, None
    of_sequence, count = joint.function, len(after)

    def pullback(needed: tuple[bool, ...], *dys: np.ndarray) -> tuple[Any, ...]:
        dys = tuple([dy[None] for dy in dys]) if single else dys
        gradients = of_sequence((*needed, False), None, *dys)[:-1]
        own = [
            gradient if gradient is None else gradient.reshape(shape)
            for gradient, shape in zip(gradients, shapes, strict=False)
        ]
        return *own, *gradients[count + 1 :]

    return value, Joint(pullback)
