"""Cells: one step of a recurrent layer, from the input and the states to the output and the states.

A cell is a layer called as cell(inputs, states), with `state_size`, the number of elements of each
state.  Kernels are Keras's: (in, gates·units), with the gates side by side.
"""

from typing import Any, ClassVar

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_probability
from minidl.errors import ShapeError
from minidl.keras import activations, initializers
from minidl.keras.checks import positive
from minidl.keras.layers.base import Layer
from minidl.keras.structure import flatten, is_nested


class Cell(Layer):
    """The base of the cells here: an input kernel, a recurrent kernel, and a bias.

    dropout              the probability of leaving out an element of the inputs, in training
    recurrent_dropout    the same of the state; the same elements in all steps of a sequence
                         (Gal, Ghahramani 2016)
    """

    gates: ClassVar[int]
    states: ClassVar[int] = 1

    def __init__(
        self,
        units: int,
        activation: activations.Activation = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        kind = type(self).__name__
        check_probability(kind, dropout=dropout)
        check_probability(kind, recurrent_dropout=recurrent_dropout)
        self.units, self.use_bias = positive(kind, "units", units), bool(use_bias)
        self.activation = activations.get(activation)
        self.kernel_initializer = kernel_initializer
        self.recurrent_initializer = recurrent_initializer
        self.bias_initializer = bias_initializer
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.generator = None if seed is None else ops.random.Generator(seed)
        self.state_size: Any = [self.units] * self.states if self.states > 1 else self.units
        self.output_size = self.units
        self._drawn: tuple[Any, Any] | None = None

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """The shape of the bias."""
        return (self.gates * self.units,)

    def build(self, input_shape: Any) -> None:
        """Create the kernels and the bias."""
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise self.error("needs inputs (N, in) with a known length; got", tuple(input_shape))
        columns = self.gates * self.units
        self.kernel = self.add_weight(
            (input_shape[-1], columns), self.kernel_initializer, name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            (self.units, columns), self.recurrent_initializer, name="recurrent_kernel"
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(self.bias_shape, self.initial_bias, name="bias")
        self.built = True

    def initial_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """The bias at first."""
        return initializers.get(self.bias_initializer)(shape, dtype=dtype)

    def compute_output_shape(self, input_shape: Any, states_shape: Any = None) -> Any:
        """The shape of the output, and those of the states."""
        state = (input_shape[0], self.units)
        return state, [state] * self.states

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Zeros for each state."""
        return [ops.zeros((batch_size or 0, self.units), dtype=self.compute_dtype)] * self.states

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """The output and the new states, in the structure of the old ones."""
        self.check_features(inputs)
        given = flatten(states)
        if len(given) != self.states:
            raise ShapeError(f"{self.title}: has {self.states} states; got {len(given)}")
        drawn = self._drawn or self.draw(inputs, training)
        new = self.step(inputs, given, *drawn)
        return new[0], new if is_nested(states) else new[0]

    def check_features(self, inputs: Any) -> None:
        """Raise unless the inputs have the features that the cell was built for."""
        if self.kernel.shape[0] != inputs.shape[-1]:
            raise ShapeError(
                f"{self.title} was built for {self.kernel.shape[0]} features; got inputs "
                f"{tuple(inputs.shape)}"
            )

    def step(self, x: Tensor, states: list[Tensor], masks: Any, recurrent_masks: Any) -> Any:
        """The new states; the first is the output."""
        raise NotImplementedError

    # Dropout.

    def draw(self, inputs: Tensor, training: bool) -> tuple[Any, Any]:
        """What the elements of the inputs and of the state are multiplied by, for each gate."""
        if not training or not (self.dropout or self.recurrent_dropout):
            return None, None
        count = self.gates if self.recurrent_dropout else 1
        batch, features = inputs.shape[0], inputs.shape[-1]
        return (
            self._masks(self.dropout, (batch, features), count),
            self._masks(self.recurrent_dropout, (batch, self.units), count),
        )

    def _masks(self, rate: float, shape: tuple[int, int], count: int) -> Any:
        if not rate:
            return None
        ones = ops.ones(shape, dtype=self.compute_dtype)
        keys = [ops.random.key_of(self.generator, ones.size) for _ in range(count)]
        return [ops.dropout(ones, rate, key=key) for key in keys]

    def keep_drawn(self, drawn: tuple[Any, Any] | None) -> None:
        """Use these in all steps, until called with None."""
        self._drawn = drawn


def _product(x: Tensor, kernel: Tensor, masks: Any) -> Tensor:
    """x·kernel, with x multiplied by a mask; or by one for each gate."""
    if masks is None:
        return ops.matmul(x, kernel)
    if len(masks) == 1:
        return ops.matmul(x * masks[0], kernel)
    width = kernel.shape[1] // len(masks)
    parts = [
        ops.matmul(x * mask, kernel[:, i * width : (i + 1) * width]) for i, mask in enumerate(masks)
    ]
    return ops.concat(parts, axis=-1)


def _parts(x: Tensor, count: int) -> list[Tensor]:
    """The gates, which are side by side."""
    width = x.shape[-1] // count
    return [x[..., i * width : (i + 1) * width] for i in range(count)]


class SimpleRNNCell(Cell):
    """h' = activation(x·kernel + h·recurrent_kernel + bias).  Elman 1990.

    >>> from minidl.keras import layers
    >>> cell = layers.SimpleRNNCell(4)
    >>> output, (state,) = cell(np.ones((2, 3)), [np.zeros((2, 4))])
    >>> output.shape, output is state, [w.shape for w in cell.get_weights()]
    ((2, 4), True, [(3, 4), (4, 4), (4,)])
    """

    gates = 1

    def step(self, x: Tensor, states: list[Tensor], masks: Any, recurrent_masks: Any) -> Any:
        """The new state."""
        z = _product(x, self.kernel, masks)
        z = z + _product(states[0], self.recurrent_kernel, recurrent_masks)
        return [self.activation(z if self.bias is None else z + self.bias)]


class LSTMCell(Cell):
    """c' = f·c + i·activation(z_c), h' = o·activation(c'); gates i, f, c, o in this order.

    z = x·kernel + h·recurrent_kernel + bias, i, f, o = recurrent_activation(z).  The states are h
    and c.

    unit_forget_bias    whether the bias of the gate f is 1 at first.  Jozefowicz et al. 2015

    Hochreiter, Schmidhuber 1997; Gers et al. 2000

    >>> from minidl.keras import layers
    >>> cell = layers.LSTMCell(4)
    >>> output, (h, c) = cell(np.ones((2, 3)), [np.zeros((2, 4)), np.zeros((2, 4))])
    >>> output is h, c.shape, [w.shape for w in cell.get_weights()]
    (True, (2, 4), [(3, 16), (4, 16), (16,)])
    """

    gates = 4
    states = 2

    def __init__(
        self,
        units: int,
        activation: activations.Activation = "tanh",
        recurrent_activation: activations.Activation = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        **others: Any,
    ) -> None:
        super().__init__(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            **others,
        )
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = bool(unit_forget_bias)

    def initial_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """The bias at first: with 1 for the gate f."""
        if not self.unit_forget_bias:
            return super().initial_bias(shape, dtype)
        u, make = self.units, initializers.get(self.bias_initializer)
        parts = [make((u,), dtype=dtype), ops.ones(u, dtype=dtype), make((2 * u,), dtype=dtype)]
        return ops.concat([ops.asarray(part) for part in parts])

    def step(self, x: Tensor, states: list[Tensor], masks: Any, recurrent_masks: Any) -> Any:
        """The new h and c."""
        h, c = states
        z = _product(x, self.kernel, masks)
        z = z + _product(h, self.recurrent_kernel, recurrent_masks)
        i, f, g, o = _parts(z if self.bias is None else z + self.bias, 4)
        gate = self.recurrent_activation
        c = gate(f) * c + gate(i) * self.activation(g)
        return [gate(o) * self.activation(c), c]


class GRUCell(Cell):
    """h' = z·h + (1 − z)·activation(candidate); gates z, r, h in this order.

    z and r = recurrent_activation(x·kernel + h·recurrent_kernel + bias).

    reset_after    whether the candidate is x·W + r·(h·U + b), as in PyTorch, with biases (2, 3u);
                   else x·W + (r·h)·U, as in the paper, with biases (3u,)

    Cho et al. 2014

    >>> from minidl.keras import layers
    >>> cell = layers.GRUCell(4)
    >>> output, (state,) = cell(np.ones((2, 3)), [np.zeros((2, 4))])
    >>> output.shape, [w.shape for w in cell.get_weights()]
    ((2, 4), [(3, 12), (4, 12), (2, 12)])
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: activations.Activation = "tanh",
        recurrent_activation: activations.Activation = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        **others: Any,
    ) -> None:
        super().__init__(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            dropout,
            recurrent_dropout,
            **others,
        )
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = bool(reset_after)

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """(2, 3u): of the inputs and of the state; or (3u,)."""
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def biases(self) -> tuple[Any, Any]:
        """The bias of the inputs, and that of the state, or None."""
        if self.bias is None or not self.reset_after:
            return self.bias, None
        return self.bias[0], self.bias[1]

    def step(self, x: Tensor, states: list[Tensor], masks: Any, recurrent_masks: Any) -> Any:
        """The new state."""
        (h,), u, kernel = states, self.units, self.recurrent_kernel
        of_x, of_h = self.biases()
        from_x = _product(x, self.kernel, masks)
        x_z, x_r, x_h = _parts(from_x if of_x is None else from_x + of_x, 3)
        gate = self.recurrent_activation
        if self.reset_after:
            from_h = _product(h, kernel, recurrent_masks)
            h_z, h_r, h_h = _parts(from_h if of_h is None else from_h + of_h, 3)
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            candidate = x_h + r * h_h
        else:
            gates, last = (
                (None, None)
                if recurrent_masks is None
                else (
                    recurrent_masks[:2],
                    recurrent_masks[2:],
                )
            )
            h_z, h_r = _parts(_product(h, kernel[:, : 2 * u], gates), 2)
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            candidate = x_h + _product(r * h, kernel[:, 2 * u :], last)
        return [z * h + (1 - z) * self.activation(candidate)]
