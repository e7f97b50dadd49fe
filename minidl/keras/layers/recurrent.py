"""SimpleRNN, LSTM and GRU, which compute all steps in one operation where they can."""

from typing import Any, ClassVar

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.keras import activations
from minidl.keras.layers.cells import Cell, GRUCell, LSTMCell, SimpleRNNCell
from minidl.keras.layers.rnn import RNN, held

_OF_THE_CELL = {
    "use_bias",
    "activation",
    "recurrent_activation",
    "kernel_initializer",
    "recurrent_initializer",
    "bias_initializer",
    "unit_forget_bias",
    "dropout",
    "recurrent_dropout",
    "reset_after",
    "seed",
}
_NO_EFFECT = {"implementation", "use_cudnn"}  # they only say how Keras computes


class Recurrent(RNN):
    """The base: a cell of its own, and one operation for all steps if the cell is the usual one."""

    cell_type: ClassVar[type[Cell]]
    cell: Cell

    def __init__(self, units: int, *gates: Any, **settings: Any) -> None:
        settings = {name: value for name, value in settings.items() if name not in _NO_EFFECT}
        of_cell = {name: settings.pop(name) for name in _OF_THE_CELL if name in settings}
        cell = self.cell_type(units, *gates, **of_cell, dtype=settings.get("dtype"))
        super().__init__(cell, **settings)

    @property
    def units(self) -> int:
        """The length of the state."""
        return self.cell.units

    def in_one(self, x: Tensor, states: list[Any], mask: Any) -> tuple[Tensor, ...]:
        """The outputs (T, N, units) and the last states, for x (T, N, in) and a mask (T, N)."""
        raise NotImplementedError

    def fits_operation(self) -> bool:
        """Whether the operation computes what the cell does."""
        raise NotImplementedError

    def run(
        self, x: Tensor, states: list[Any], mask: Tensor | None, training: bool
    ) -> tuple[Any, Tensor, list[Any]]:
        """All outputs or None, the last output and the last states."""
        cell, own = self.cell, type(self.cell) is self.cell_type
        if not own or cell.recurrent_dropout or x.ndim != 3 or not self.fits_operation():
            return super().run(x, states, mask, training)
        cell.check_features(x)
        dropped, _ = cell.draw(x, training)
        if dropped is not None:
            x = x * dropped[0][:, None, :]
        mask = None if mask is None else ops.permute_dims(mask, (1, 0))
        y, *states = self.in_one(ops.permute_dims(x, (1, 0, 2)), states, mask)
        return *self._outputs(y, states[0], mask), states

    def _outputs(self, y: Tensor, last: Tensor, mask: Tensor | None) -> tuple[Any, Tensor]:
        """All outputs (N, T, units), or None, and the last one, as Keras has them with a mask."""
        if self.go_backwards:
            y = ops.flip(y, axis=0)
            mask = None if mask is None else ops.flip(mask, axis=0)
        if mask is not None and self.zero_output_for_mask:
            last = y[-1]
        elif mask is not None:
            last = ops.where(ops.any(mask, axis=0)[:, None], last, 0)
            y = held(y, mask) if self.return_sequences else y
        return ops.permute_dims(y, (1, 0, 2)) if self.return_sequences else None, last


def _is_usual(cell: Any) -> bool:
    """Whether a cell has tanh and sigmoids."""
    usual = activations.tanh, activations.sigmoid
    return (cell.activation, cell.recurrent_activation) == usual


def _rows(kernel: Any) -> Any:
    """A kernel (in, out) as the operations have it, (out, in)."""
    return ops.permute_dims(kernel, (1, 0))


class SimpleRNN(Recurrent):
    """h' = tanh(x·kernel + h·recurrent_kernel + bias) for each step: (N, T, in) → (N, units).

    The weights are kernel (in, units), recurrent_kernel (units, units), bias (units,).

    Arguments are those of `SimpleRNNCell` (activation, use_bias, initializers, dropout,
    recurrent_dropout, seed) and of `RNN` (return_sequences, return_state, go_backwards, stateful,
    zero_output_for_mask).  Elman 1990.

    >>> from minidl.keras import layers
    >>> layer = layers.SimpleRNN(4, return_sequences=True, return_state=True)
    >>> outputs, state = layer(np.ones((2, 5, 3)), initial_state=np.zeros((2, 4)))
    >>> outputs.shape, state.shape, [w.shape for w in layer.get_weights()]
    ((2, 5, 4), (2, 4), [(3, 4), (4, 4), (4,)])
    """

    cell_type = SimpleRNNCell

    def __init__(
        self, units: int, activation: activations.Activation = "tanh", **settings: Any
    ) -> None:
        super().__init__(units, activation, **settings)

    def fits_operation(self) -> bool:
        """With tanh or relu."""
        return self.cell.activation in (activations.tanh, activations.relu)

    def in_one(self, x: Tensor, states: list[Any], mask: Any) -> tuple[Tensor, ...]:
        """By `minidl.rnn`."""
        cell: Any = self.cell
        kernels = _rows(cell.kernel), _rows(cell.recurrent_kernel)
        settings = {"nonlinearity": cell.activation.__name__, "reverse": self.go_backwards}
        return ops.rnn(x, states[0], *kernels, cell.bias, None, mask, **settings)


class LSTM(Recurrent):
    """Long short-term memory: (N, T, in) → (N, units); the states are h and c.

    i, f, o = sigmoid(z), c' = f·c + i·tanh(z_c), h' = o·tanh(c'), z = x·kernel +
    h·recurrent_kernel + bias.  The weights are kernel (in, 4·units), recurrent_kernel
    (units, 4·units), bias (4·units,), for the gates i, f, c, o in this order; the bias of f is 1 at
    first.

    Arguments are those of `LSTMCell` (activation, recurrent_activation, use_bias, initializers,
    unit_forget_bias, dropout, recurrent_dropout, seed) and of `RNN` (return_sequences,
    return_state, go_backwards, stateful, zero_output_for_mask).  Hochreiter, Schmidhuber 1997.

    >>> from minidl.keras import Sequential, layers
    >>> model = Sequential([layers.Embedding(100, 8, mask_zero=True), layers.LSTM(4)])
    >>> model(np.array([[5, 7, 0], [3, 0, 0]])).shape, model.count_params()
    ((2, 4), 1008)
    """

    cell_type = LSTMCell

    def __init__(
        self,
        units: int,
        activation: activations.Activation = "tanh",
        recurrent_activation: activations.Activation = "sigmoid",
        **settings: Any,
    ) -> None:
        super().__init__(units, activation, recurrent_activation, **settings)

    def fits_operation(self) -> bool:
        """With tanh, and sigmoids for gates."""
        return _is_usual(self.cell)

    def in_one(self, x: Tensor, states: list[Any], mask: Any) -> tuple[Tensor, ...]:
        """By `minidl.lstm`, which has the same order of gates."""
        cell: Any = self.cell
        kernels = _rows(cell.kernel), _rows(cell.recurrent_kernel)
        h, c = states
        return ops.lstm(x, h, c, *kernels, cell.bias, None, None, mask, reverse=self.go_backwards)


class GRU(Recurrent):
    """Gated recurrent unit: (N, T, in) → (N, units).

    z, r = sigmoid(x·kernel + h·recurrent_kernel + bias), h' = z·h + (1 − z)·tanh(candidate).  The
    weights are kernel (in, 3·units), recurrent_kernel (units, 3·units), bias (2, 3·units), or
    (3·units,) without reset_after, for z, r and the candidate in this order.

    Arguments are those of `GRUCell` (activation, recurrent_activation, use_bias, initializers,
    dropout, recurrent_dropout, reset_after, seed) and of `RNN` (return_sequences, return_state,
    go_backwards, stateful, zero_output_for_mask).  Cho et al. 2014.

    >>> from minidl.keras import layers
    >>> layer = layers.GRU(4, return_sequences=True)
    >>> layer(np.ones((2, 5, 3))).shape, [w.shape for w in layer.get_weights()]
    ((2, 5, 4), [(3, 12), (4, 12), (2, 12)])
    """

    cell_type = GRUCell

    def __init__(
        self,
        units: int,
        activation: activations.Activation = "tanh",
        recurrent_activation: activations.Activation = "sigmoid",
        **settings: Any,
    ) -> None:
        super().__init__(units, activation, recurrent_activation, **settings)

    def fits_operation(self) -> bool:
        """With tanh, sigmoids for gates, and the reset gate after the product, as in PyTorch."""
        cell: Any = self.cell
        return _is_usual(cell) and cell.reset_after

    def in_one(self, x: Tensor, states: list[Any], mask: Any) -> tuple[Tensor, ...]:
        """By `minidl.gru`, which has r before z."""
        cell: Any = self.cell
        given = (_rows(cell.kernel), _rows(cell.recurrent_kernel), *cell.biases())
        of_x, of_h, b, c = (None if w is None else _r_before_z(w, cell.units) for w in given)
        return ops.gru(x, states[0], of_x, of_h, b, c, mask, reverse=self.go_backwards)


def _r_before_z(w: Any, units: int) -> Any:
    """The rows of the gates z, r, h in the order r, z, h."""
    return ops.concat([w[units : 2 * units], w[:units], w[2 * units :]], axis=0)
