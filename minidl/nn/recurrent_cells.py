"""Single steps of recurrent layers: RNNCell, LSTMCell and GRUCell."""

from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice, check_flags, check_integers
from minidl.nn.module import Parameter, shape_error
from minidl.nn.parameter import empty
from minidl.nn.recurrent_base import Stateful
from minidl.ops.nn.recurrent import NONLINEARITIES


class _Cell(Stateful):
    """What RNNCell, LSTMCell and GRUCell have in common."""

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_integers(self, 1, input_size=input_size, hidden_size=hidden_size)
        check_flags(self, bias=bias)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self._gates * hidden_size
        self.weight_ih = Parameter(empty(self, (rows, input_size), dtype, device))
        self.weight_hh = Parameter(empty(self, (rows, hidden_size), dtype, device))
        for name in ("bias_ih", "bias_hh"):
            given = Parameter(empty(self, rows, dtype, device)) if bias else None
            self.register_parameter(name, given)
        self.reset_parameters()

    def _weight(self) -> Tensor:
        return self.weight_ih

    def forward(self, x: Tensor, hx: Any = None) -> Any:
        """Return the state after a step with x, (N, input_size) or (input_size,).

        hx    the state before the step, (N, hidden_size) or (hidden_size,); zeros if left out
        """
        shape = tuple(getattr(x, "shape", ()))
        if len(shape) not in (1, 2) or shape[-1] != self.input_size:
            needs = f"(N, {self.input_size}) or ({self.input_size},)"
            raise shape_error(self._name(), needs, x)
        weights = self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        x = self._tensor(x)
        return self._step(x, self._before(hx, x), weights)

    def _step(self, x: Tensor, state: list[Tensor], weights: tuple[Any, ...]) -> Any:
        """The state after a step."""
        raise NotImplementedError

    def _before(self, state: Any, x: Tensor) -> list[Tensor]:
        """The parts of the state, with as many axes as x has."""
        shape = *x.shape[:-1], self.hidden_size
        if state is None:
            return [ops.zeros(shape, dtype=x.dtype, device=x.device) for _ in self._states]
        return self._parts(state, [shape] * len(self._states), "(N, H)" if x.ndim == 2 else "(H,)")

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:
        """Each sequence is multiplied by both matrices."""
        h = output[0] if isinstance(output, tuple) else output
        return h.size // self.hidden_size * (self.weight_ih.size + self.weight_hh.size)

    def extra_repr(self) -> str:
        bias = "" if self.bias else ", bias=False"
        return f"{self.input_size}, {self.hidden_size}{bias}"


class RNNCell(_Cell):
    """One step of `RNN`: h′ = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or relu.

    Called with x, (N, input_size), and h, (N, H), it returns h′; h is 0 if left out.
    weight_ih (H, input_size), weight_hh (H, H), bias_ih and bias_hh (H,) start uniform in ±1/√H,
    as in PyTorch.

    >>> cell, h = nn.RNNCell(3, 5), None
    >>> for x in minidl.ones((7, 2, 3)):
    ...     h = cell(x, h)
    >>> h.shape
    (2, 5)
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_choice(self, NONLINEARITIES, nonlinearity=nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def _step(self, x: Tensor, state: list[Tensor], weights: tuple[Any, ...]) -> Tensor:
        return ops.rnn_cell(x, *state, *weights, nonlinearity=self.nonlinearity)

    def extra_repr(self) -> str:
        f = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + f


class LSTMCell(_Cell):
    """One step of `LSTM`: h′ and c′.

    Called with x, (N, input_size), and (h, c), (N, H) each, it returns (h′, c′); h and c are 0 if
    left out.  The weights are those of `RNNCell`, with 4·H rows.

    >>> cell = nn.LSTMCell(3, 5)
    >>> h, c = cell(minidl.ones((2, 3)))
    >>> h, c = cell(minidl.ones((2, 3)), (h, c))
    >>> h.shape, c.shape
    ((2, 5), (2, 5))
    """

    _gates = 4
    _states = "h", "c"

    def _step(self, x: Tensor, state: list[Tensor], weights: tuple[Any, ...]) -> tuple[Tensor, ...]:
        return ops.lstm_cell(x, *state, *weights)


class GRUCell(_Cell):
    """One step of `GRU`: h′.

    Called with x, (N, input_size), and h, (N, H), it returns h′; h is 0 if left out.  The weights
    are those of `RNNCell`, with 3·H rows.

    >>> nn.GRUCell(3, 5)(minidl.ones((2, 3))).shape
    (2, 5)
    """

    _gates = 3

    def _step(self, x: Tensor, state: list[Tensor], weights: tuple[Any, ...]) -> Tensor:
        return ops.gru_cell(x, *state, *weights)
