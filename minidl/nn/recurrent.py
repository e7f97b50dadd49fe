"""Recurrent layers: RNN, LSTM and GRU, one above the other, in one or both directions."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice, check_integers
from minidl.nn.recurrent_base import Recurrent
from minidl.ops import random
from minidl.ops.nn.recurrent import NONLINEARITIES


class RNN(Recurrent):
    """hₜ = tanh(W_ih·xₜ + b_ih + W_hh·hₜ₋₁ + b_hh), or relu, in each layer; Elman 1990.

    num_layers       layers; the input of each is the output of the one before
    dropout          in training, each element of that input is 0 with this probability, else
                     divided by 1 − dropout
    bidirectional    a second state runs from the last step to the first; y is both, concatenated
    batch_first      x and y are (N, T, …); the state is not
    generator        the source of randomness of dropout; minidl's default one if left out

    Called with x, (T, N, input_size), it returns y, (T, N, H), and the state after the last step,
    (layers · directions, N, H).  More in `forward`.

    weight_ih_l0 (H, input_size), weight_hh_l0 (H, H), bias_ih_l0, bias_hh_l0 (H,), then those of
    the other direction, …_l0_reverse, and of the next layer, start uniform in ±1/√H, as in PyTorch.

    >>> layer = nn.RNN(3, 5)
    >>> y, h_n = layer(minidl.ones((7, 2, 3)))
    >>> y.shape, h_n.shape, bool((y[-1] == h_n[0]).all())
    ((7, 2, 5), (1, 2, 5), True)
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
        *,
        generator: random.Generator | None = None,
    ) -> None:
        check_choice(self, NONLINEARITIES, nonlinearity=nonlinearity)
        self.nonlinearity = nonlinearity
        rest = bias, batch_first, dropout, bidirectional, device, dtype
        super().__init__(input_size, hidden_size, num_layers, *rest, generator=generator)

    def _along(
        self, x: Tensor, state: Any, weights: list[Any], steps: Any, reverse: bool
    ) -> tuple[Tensor, ...]:
        (h,), (w_ih, w_hh, b_ih, b_hh, _), f = state, weights, self.nonlinearity
        return ops.rnn(x, h, w_ih, w_hh, b_ih, b_hh, steps, nonlinearity=f, reverse=reverse)


class LSTM(Recurrent):
    """Long short-term memory: gates decide what the state c keeps, takes in and shows; h is shown.

    i, f, g, o = W_ih·xₜ + b_ih + W_hh·hₜ₋₁ + b_hh
    cₜ = σ(f)·cₜ₋₁ + σ(i)·tanh g;   hₜ = σ(o)·tanh cₜ

    num_layers, dropout, bidirectional, batch_first, generator    as of `RNN`
    proj_size        h is W_hr times that, of so many elements; 0: it is not

    Called with x, (T, N, input_size), it returns y, (T, N, H), and the state after the last step,
    (h_n, c_n), (layers · directions, N, H) each.  More in `forward`.

    The weights are those of `RNN`, with 4·H rows, and weight_hr_l0 (proj_size, H).
    Hochreiter, Schmidhuber 1997; Gers, Schmidhuber, Cummins 2000; projected: Sak, Senior,
    Beaufays 2014, arXiv:1402.1128.

    >>> layer = nn.LSTM(3, 5, batch_first=True, bidirectional=True)
    >>> y, (h_n, c_n) = layer(minidl.ones((2, 7, 3)), lengths=[7, 4])
    >>> y.shape, h_n.shape, bool((y[1, 4:] == 0).all())
    ((2, 7, 10), (2, 2, 5), True)
    """

    _gates = 4
    _states = "h", "c"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: str | None = None,
        dtype: Any = None,
        *,
        generator: random.Generator | None = None,
    ) -> None:
        check_integers(self, 1, hidden_size=hidden_size)
        check_integers(self, 0, hidden_size - 1, proj_size=proj_size)
        self.proj_size = proj_size
        rest = bias, batch_first, dropout, bidirectional, device, dtype
        super().__init__(input_size, hidden_size, num_layers, *rest, generator=generator)

    def _along(
        self, x: Tensor, state: Any, weights: list[Any], steps: Any, reverse: bool
    ) -> tuple[Tensor, ...]:
        (h, c), (w_ih, w_hh, b_ih, b_hh, w_hr) = state, weights
        return ops.lstm(x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr, steps, reverse=reverse)


class GRU(Recurrent):
    """Gated recurrent unit: the new state is between the old one and a candidate, n.

    iᵣ, i_z, iₙ = W_ih·xₜ + b_ih;   hᵣ, h_z, hₙ = W_hh·hₜ₋₁ + b_hh
    n = tanh(iₙ + σ(iᵣ + hᵣ)·hₙ);   z = σ(i_z + h_z);   hₜ = (1 − z)·n + z·hₜ₋₁

    num_layers, dropout, bidirectional, batch_first, generator    as of `RNN`

    Called with x, (T, N, input_size), it returns y, (T, N, H), and the state after the last step,
    (layers · directions, N, H).  More in `forward`.

    The weights are those of `RNN`, with 3·H rows.  Cho et al. 2014, arXiv:1406.1078, with the
    reset gate after the product, as in PyTorch.

    >>> layer, x = nn.GRU(3, 5, num_layers=2), minidl.ones((7, 2, 3))
    >>> y, h_n = layer(x)
    >>> first, state = layer(x[:4])
    >>> rest, state = layer(x[4:], state.detach())  # truncated backpropagation
    >>> h_n.shape, minidl.allclose(minidl.concat([first, rest]), y, atol=1e-6)
    ((2, 2, 5), True)
    """

    _gates = 3

    def _along(
        self, x: Tensor, state: Any, weights: list[Any], steps: Any, reverse: bool
    ) -> tuple[Tensor, ...]:
        (h,), (w_ih, w_hh, b_ih, b_hh, _) = state, weights
        return ops.gru(x, h, w_ih, w_hh, b_ih, b_hh, steps, reverse=reverse)
