"""Single steps of recurrent networks, as sequences of one step."""

from typing import Any

import numpy as np

from minidl.backends.kernels.recurrent.gru import gru
from minidl.backends.kernels.recurrent.lstm import lstm
from minidl.backends.kernels.recurrent.rnn import rnn
from minidl.backends.recurrent import one_step


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
    return one_step(x, (h,), lambda x, h: rnn(x, h, *weights, nonlinearity=nonlinearity))


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
    return one_step(x, (h, c), lambda x, h, c: lstm(x, h, c, *weights))


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
    return one_step(x, (h,), lambda x, h: gru(x, h, *weights))
