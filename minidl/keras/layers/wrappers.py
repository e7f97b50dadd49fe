"""Layers that apply another layer: in both directions of time, or to each step."""

import copy
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, ShapeError
from minidl.keras.graph.tensor import Shape
from minidl.keras.layers.base import Layer, layer_of
from minidl.keras.layers.norm import BatchNormalization
from minidl.keras.layers.rnn import RNN
from minidl.keras.layers.variables import Weighted
from minidl.keras.structure import flatten, is_nested

_MERGES = ("concat", "sum", "mul", "ave", None)


class Bidirectional(Layer):
    """A recurrent layer and another like it that goes backwards, with their outputs joined.

    layer             a recurrent layer; both directions are made from its settings
    merge_mode        "concat" along the features, "sum", "mul", "ave", or None: both outputs
    backward_layer    another layer for the other direction

    With return_state the states are those of the forward layer, then those of the backward layer;
    initial_state is the same.  With return_sequences the outputs of masked steps are 0, and those
    of both layers are in the order of the steps.  Schuster, Paliwal 1997.

    >>> from minidl.keras import layers
    >>> layer = layers.Bidirectional(layers.LSTM(4, return_sequences=True))
    >>> layer(np.ones((2, 5, 3))).shape, len(layer.get_weights())
    ((2, 5, 8), 6)
    """

    supports_masking = True

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        for one in (layer, *([] if backward_layer is None else [backward_layer])):
            if not isinstance(layer_of(one, "Bidirectional"), RNN):
                raise ArgumentError(f"Bidirectional: needs a recurrent layer; got {one!r}")
        if merge_mode not in _MERGES:
            raise ArgumentError(
                f"Bidirectional: merge_mode is one of {_MERGES}; got {merge_mode!r}"
            )
        self.merge_mode = merge_mode
        self.forward_layer: Any = fresh(layer, f"forward_{layer.name}")
        if backward_layer is None:
            self.backward_layer: Any = fresh(layer, f"backward_{layer.name}")
            self.backward_layer.go_backwards = not layer.go_backwards
        else:
            self.backward_layer = fresh(backward_layer, f"backward_{backward_layer.name}")
        pair = self.forward_layer, self.backward_layer
        for setting in ("return_sequences", "return_state", "stateful"):
            if len({getattr(one, setting) for one in pair}) > 1:
                raise ArgumentError(f"Bidirectional: both layers need the same {setting}")
        if pair[0].go_backwards == pair[1].go_backwards:
            raise ArgumentError("Bidirectional: one layer goes backwards, the other does not")
        for one in pair:  # padding adds nothing to the outputs of both directions
            one.zero_output_for_mask = one.return_sequences
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        self._initial_weights = weights

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Build both layers."""
        self.forward_layer.ensure_built(tuple(sequences_shape))
        self.backward_layer.ensure_built(tuple(sequences_shape))
        self.built = True
        if self._initial_weights is not None:
            self.set_weights(self._initial_weights)

    def reset_states(self) -> None:
        """Begin the next batch with zeros."""
        self.forward_layer.reset_states()
        self.backward_layer.reset_states()

    reset_state = reset_states

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """That of one direction, with twice the features for concat."""
        shapes = self.forward_layer.compute_output_shape(sequences_shape)
        other = self.backward_layer.compute_output_shape(sequences_shape)
        (one, *states), (two, *more) = (shapes, other) if self.return_state else ([shapes], [other])
        if self.merge_mode is None:
            return (one, two, *states, *more)
        output = (*one[:-1], one[-1] + two[-1]) if self.merge_mode == "concat" else one
        return (output, *states, *more) if self.return_state else output

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the sequences, if these are returned; none of the states."""
        own = flatten(mask)[0] if self.return_sequences else None
        return [own, own] if self.merge_mode is None else [own]

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """The joined outputs, and with return_state the states."""
        more = {"mask": mask, "training": training}
        forward, backward = dict(more), dict(more)
        if initial_state is not None:
            states = list(initial_state) if is_nested(initial_state) else [initial_state]
            half, odd = divmod(len(states), 2)
            if odd:
                raise ShapeError(
                    f"{self.title}: needs states for both directions; got {len(states)}"
                )
            forward["initial_state"], backward["initial_state"] = states[:half], states[half:]
        y, z = self.forward_layer(sequences, **forward), self.backward_layer(sequences, **backward)
        (y, *states), (z, *others) = (y, z) if self.return_state else ([y], [z])
        if self.return_sequences:
            z = ops.flip(z, axis=1)
        if self.merge_mode is None:
            return (y, z, *states, *others)
        output = self._merged(y, z)
        return (output, *states, *others) if self.return_state else output

    def _merged(self, y: Tensor, z: Tensor) -> Tensor:
        if self.merge_mode == "concat":
            return ops.concat([y, z], axis=-1)
        if self.merge_mode == "mul":
            return y * z
        return y + z if self.merge_mode == "sum" else (y + z) / 2


class TimeDistributed(Layer):
    """A layer applied to each step of (N, T, …), with the same weights.

    >>> from minidl.keras import layers
    >>> layer = layers.TimeDistributed(layers.Conv2D(4, 3))
    >>> layer(np.ones((2, 5, 8, 8, 3))).shape
    (2, 5, 6, 6, 4)
    """

    casts_outputs = True
    supports_masking = True

    def __init__(self, layer: Any, **common: Any) -> None:
        super().__init__(**common)
        self.layer = layer_of(layer, "TimeDistributed")

    def _of_a_step(self, shape: Any) -> Shape:
        if len(shape) < 3:
            raise self.error("needs inputs (N, T, …) of at least three axes; got", tuple(shape))
        return (shape[0], *shape[2:])

    def build(self, input_shape: Any) -> None:
        """Build the layer for one step."""
        self.layer.ensure_built(self._of_a_step(input_shape))
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """(N, T, …) of the layer's output (N, …)."""
        batch, *rest = self.layer.compute_output_shape(self._of_a_step(input_shape))
        return (batch, input_shape[1], *rest)

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        """The outputs of all steps."""
        batch, steps = inputs.shape[:2]
        if is_samplewise(self.layer):
            y = self.layer(inputs.reshape((batch * steps, *inputs.shape[2:])), training=training)
            return y.reshape((batch, steps, *y.shape[1:]))
        outputs = [self.layer(x, training=training) for x in ops.unstack(inputs, axis=1)]
        return ops.stack(outputs, axis=1)


def is_samplewise(layer: Layer) -> bool:
    """Whether a layer of this package computes each sample by itself: all but batch norm do."""
    known = type(layer).__module__.startswith("minidl.keras.") and type(layer).__name__ != "Lambda"
    inner = all(map(is_samplewise, layer.sublayers()))
    return known and inner and not isinstance(layer, BatchNormalization)


def fresh(layer: Any, name: str) -> Any:
    """A copy of a layer with its settings, and no weights yet."""
    found = copy.copy(layer)
    found.name = found.base_name = name
    found.parts, found.nodes, found.built_for = [], [], None
    found._own_weights, found._module, found._pipelines = {}, None, {}
    for key, value in vars(layer).items():
        if isinstance(value, Weighted):
            inner: Any = value
            setattr(found, key, fresh(inner, inner.name))
        elif isinstance(value, list) and any(isinstance(x, Weighted) for x in value):
            setattr(found, key, [fresh(x, x.name) for x in value])
    return found
