"""What recurrent layers have in common: their weights, their input, and their state."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers, check_probability
from minidl.errors import ArgumentError, DTypeError, MinidlError, ShapeError, describe, warn_once
from minidl.nn import init
from minidl.nn.module import Module, Parameter, other_than, shape_error
from minidl.nn.parameter import empty
from minidl.nn.precision import beside, in_dtype_of
from minidl.nn.utils.rnn import PackedSequence, pad_packed_sequence, steps_of_packed
from minidl.ops import random
from minidl.ops.lengths import lengths_of, steps_on
from minidl.ops.random import check_generator

_WEIGHTS = "weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"


class Stateful(Module):
    """What recurrent layers have in common with their cells: weights, and a state.

    _gates     how many rows of the weights each hidden unit has
    _states    the tensors that are the state
    """

    _gates: ClassVar[int]
    _states: ClassVar[tuple[str, ...]] = ("h",)
    hidden_size: int

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _weight(self) -> Tensor:
        """The weight whose dtype the layer computes in."""
        raise NotImplementedError

    def _tensor(self, given: Any) -> Tensor:
        """An array as a tensor, in the dtype of the weights."""
        if type(given) is Tensor and given.dtype is self._weight().dtype:
            return given
        try:
            return beside(self._weight(), in_dtype_of(self._weight(), self, given))
        except MinidlError as error:
            raise type(error)(f"{self._name()}: {error}") from None

    def _parts(self, state: Any, needed: Sequence[tuple[int, ...]], axes: str) -> list[Tensor]:
        """The tensors of a state, which have these shapes.

        axes    what their axes are, for errors
        """
        names = self._states
        parts = state if len(names) > 1 else (state,)
        if not isinstance(parts, tuple | list) or len(parts) != len(names):
            raise DTypeError(
                f"{self._name()} needs a state ({', '.join(names)}); got {_told(state)}"
            )
        for name, part, shape in zip(names, parts, needed, strict=True):
            given = getattr(part, "shape", None)
            if given is None:
                raise DTypeError(f"{self._name()} needs {name} as a tensor; got {_told(part)}")
            if given != shape:
                needs = f"{self._name()} needs {name} of shape {axes} = {shape}"
                raise ShapeError(f"{needs}; got {given}")
        return [self._tensor(part) for part in parts]

    def _as_given(self, state: Sequence[Tensor]) -> Any:
        """The state as `forward` takes and returns it."""
        return tuple(state) if len(self._states) > 1 else state[0]

    def _name(self) -> str:
        """The layer in errors."""
        return f"{type(self).__name__}({self.extra_repr()})"


def _told(state: Any) -> str:
    """A state in an error: how many tensors, if it is several."""
    return (
        f"a {type(state).__name__} of {len(state)}"
        if isinstance(state, tuple | list)
        else describe(state)
    )


class Recurrent(Stateful):
    """Layers and directions of RNN, LSTM and GRU; these say what happens along one direction."""

    weight_ih_l0: Parameter
    proj_size = 0

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
        *,
        generator: random.Generator | None = None,
    ) -> None:
        check_integers(self, 1, input_size=input_size, hidden_size=hidden_size)
        check_integers(self, 1, num_layers=num_layers)
        check_flags(self, bias=bias, batch_first=batch_first, bidirectional=bidirectional)
        check_probability(self, dropout=dropout)
        check_generator(self, generator)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.dropout, self.generator = float(dropout), generator
        self._directions = 2 if bidirectional else 1
        self._sizes = tuple([self._size(name) for name in self._states])
        self._weight_names = []
        for layer, end in self._places():
            self._weight_names.append([f"{name}_{end}" for name in _WEIGHTS])
            for name, shape in self._weight_shapes(layer).items():
                setattr(self, f"{name}_{end}", Parameter(empty(self, shape, dtype, device)))
        self.reset_parameters()
        if dropout and num_layers == 1:
            warn_once(
                (type(self), "dropout"),
                f"{type(self).__name__}: dropout={dropout} acts between layers, and there is "
                "nothing between with num_layers=1; nn.Dropout drops elements of an output",
            )

    def _weight(self) -> Tensor:
        return self.weight_ih_l0

    def _size(self, part: str) -> int:
        """The number of elements of a part of the state."""
        return self.proj_size if part == "h" and self.proj_size else self.hidden_size

    def _places(self) -> list[tuple[int, str]]:
        """The number of the layer, and how the names of its weights end, for each direction."""
        ends = ("", "_reverse")[: self._directions]
        return [(i, f"l{i}{end}") for i in range(self.num_layers) for end in ends]

    def _weight_shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights of one direction, in PyTorch's order."""
        rows, out = self._gates * self.hidden_size, self._size("h")
        columns = out * self._directions if layer else self.input_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, columns),
            "weight_hh": (rows, out),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        return shapes | ({"weight_hr": (out, self.hidden_size)} if self.proj_size else {})

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights and biases, a list for each direction of each layer."""
        places = self._places()
        return [[getattr(self, f"{n}_{end}") for n in self._weight_shapes(i)] for i, end in places]

    def flatten_parameters(self) -> None:
        """Do nothing: in PyTorch, this moves the weights together in the memory of a GPU."""

    def forward(self, x: Any, hx: Any = None, lengths: Any = None) -> Any:
        """Return y, and the state after the last step.

        x          (T, N, input_size), with batch_first (N, T, input_size), a single sequence
                   (T, input_size); or a PackedSequence, and y is one
        hx         the state before the first step, (layers · directions, N, H) each; default: zeros
        lengths    (N,), each from 1 to T, in any order: integers, a tensor or an array.  Beyond its
                   length a sequence's x has no influence, and y is 0; the state is that at its
                   length, where the other direction begins
        """
        if isinstance(x, PackedSequence):
            return self._of_packed(x, hx, lengths)
        x, single = self._time_major(x)
        states = self._before(hx, x, single)
        y, states = self._through_layers(x, states, self._steps(lengths, x))
        if single:
            y, states = ops.squeeze(y, 1), [ops.squeeze(s, 1) for s in states]
        elif self.batch_first:
            y = ops.moveaxis(y, 0, 1)
        return y, self._as_given(states)

    def _of_packed(self, packed: PackedSequence, state: Any, lengths: Any) -> Any:
        """y, packed alike, and the state of the sequences in the order that they had before."""
        if lengths is not None:
            raise ArgumentError(f"{self._name()}: a PackedSequence has lengths; leave lengths out")
        data, order = packed.data, packed.sorted_indices
        if data.ndim != 2 or data.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self._name()} needs a PackedSequence with data of shape (Σ lengths, "
                f"{self.input_size}); got {data.shape}"
            )
        steps = steps_of_packed(packed)
        x, _ = pad_packed_sequence(PackedSequence(self._tensor(data), packed.batch_sizes))
        states = self._before(state, x, single=False)
        if order is not None:
            states = [ops.take(s, order, axis=1) for s in states]
        there = ops.asarray(steps, device=x.device)
        y, states = self._through_layers(x, states, None if steps.all() else there)
        if order is not None:
            states = [ops.take(s, packed.unsorted_indices, axis=1) for s in states]
        return packed.with_data(y[there]), self._as_given(states)

    def _time_major(self, given: Any) -> tuple[Tensor, bool]:
        """The input as (T, N, input_size), and whether it was a single sequence."""
        if not hasattr(given, "shape"):
            raise DTypeError(
                f"{self._name()} needs a tensor or a PackedSequence; got {describe(given)}"
            )
        if len(given.shape) not in (2, 3) or given.shape[-1] != self.input_size:
            axes = "N, T" if self.batch_first else "T, N"
            needs = f"({axes}, {self.input_size}), or (T, {self.input_size}) of one sequence"
            raise shape_error(self._name(), needs, given)
        x = self._tensor(given)
        if x.ndim == 2:
            return ops.expand_dims(x, axis=1), True
        return (ops.moveaxis(x, 0, 1) if self.batch_first else x), False

    def _before(self, state: Any, x: Tensor, single: bool) -> list[Tensor]:
        """The parts of the state, (layers · directions, N, size) each, for x (T, N, input_size)."""
        count, n = self.num_layers * self._directions, x.shape[1]
        if state is None:
            return [ops.zeros((count, n, m), dtype=x.dtype, device=x.device) for m in self._sizes]
        if single:
            of_one = [(count, size) for size in self._sizes]
            parts = self._parts(state, of_one, "(layers · directions, H)")
            return [ops.expand_dims(s, axis=1) for s in parts]
        needed = [(count, n, size) for size in self._sizes]
        return self._parts(state, needed, "(layers · directions, N, H)")

    def _steps(self, lengths: Any, x: Tensor) -> Tensor | None:
        """The steps that there are, bools (T, N); None: all."""
        if lengths is None:
            return None
        try:
            found = lengths_of("lengths", lengths, x.shape[1], 1, x.shape[0])
        except MinidlError as error:
            raise type(error)(f"{self._name()}: {error}") from None
        if (found == x.shape[0]).all():
            return None
        return steps_on(x.device, lengths, found, x.shape[0])

    def _through_layers(
        self, x: Tensor, before: list[Tensor], steps: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """y of the last layer, and the states of all layers and directions."""
        if len(self._weight_names) == 1:
            y, *state = self._along(x, before, self._weights(0), steps, False)
            return y, state
        states = zip(*map(ops.unstack, before), strict=True)
        after: list[list[Tensor]] = []
        for layer in range(self.num_layers):
            x = self._dropped(x) if layer else x
            ys: list[Tensor] = []
            for reverse in (False, True)[: self._directions]:
                weights = self._weights(len(after))
                y, *state = self._along(x, next(states), weights, steps, reverse)
                ys.append(y)
                after.append(state)
            x = ops.concat(ys, axis=-1) if len(ys) > 1 else ys[0]
        return x, [ops.stack(parts) for parts in zip(*after, strict=True)]

    def _weights(self, place: int) -> list[Any]:
        """The weights of one direction of a layer; None for those that there are not."""
        return [getattr(self, name, None) for name in self._weight_names[place]]

    def _dropped(self, x: Tensor) -> Tensor:
        """x, with elements zeroed in training, as by `Dropout`."""
        if not self.training or not self.dropout:
            return x
        return ops.dropout(x, self.dropout, key=random.key_of(self.generator, x.size))

    def _along(
        self,
        x: Tensor,
        state: Sequence[Tensor],
        weights: list[Any],
        steps: Tensor | None,
        reverse: bool,
    ) -> tuple[Tensor, ...]:
        """y and the state after all steps of one direction of a layer."""
        raise NotImplementedError

    def multiply_adds(self, inputs: tuple[Any, ...], output: Any) -> int:
        """Each step of each sequence is multiplied by all matrices."""
        y = output[0].data if isinstance(output[0], PackedSequence) else output[0]
        steps = y.size // (self._directions * self._sizes[0])
        return steps * sum(w.size for own in self.all_weights for w in own if w.ndim == 2)

    def extra_repr(self) -> str:
        sizes = f"{self.input_size}, {self.hidden_size}"
        return ", ".join([sizes, *other_than(_DEFAULTS, self)])


_DEFAULTS = {
    "proj_size": 0,
    "num_layers": 1,
    "bias": True,
    "batch_first": False,
    "dropout": 0,
    "bidirectional": False,
}
