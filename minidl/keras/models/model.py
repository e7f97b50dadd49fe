"""Model: layers joined to a network, by a graph of calls or by a `call` of one's own."""

import os
from collections.abc import Callable, Collection, Iterator
from typing import Any

from minidl import io
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.keras import data
from minidl.keras.checks import refuse
from minidl.keras.graph.graph import Graph
from minidl.keras.graph.tensor import KerasTensor, Shape
from minidl.keras.layers.base import Layer, is_shape, shapes_to_tensors
from minidl.keras.models.training import Trained
from minidl.keras.structure import flatten, is_nested, map_leaves
from minidl.keras.summary import graph_table, table
from minidl.train.losses import named

_LAYOUT = {"line_length", "positions", "expand_nested", "show_trainable", "layer_range"}


class Model(Trained):
    """A network that can be trained: Model(inputs, outputs), or a subclass with a `call`.

    The functional form takes symbolic tensors, of `Input` and of layers that were called: one, a
    list or a dict of them.  The model is the graph of the calls between them, which may branch,
    join, and use a layer several times.  A model is a layer of others.

        x = keras.Input(shape=(32, 32, 3))
        y = layers.Conv2D(16, 3, activation="relu")(x)
        y = layers.GlobalAveragePooling2D()(y)
        model = keras.Model(inputs=x, outputs=layers.Dense(10, activation="softmax")(y))

    A subclass creates its layers in `__init__`, as attributes, also in lists and dicts, and applies
    them in `call(inputs, training=None)`.  Their weights are created in the first call.

        class Classifier(keras.Model):
            def __init__(self):
                super().__init__()
                self.hidden = layers.Dense(16, activation="relu")
                self.scores = layers.Dense(10, activation="softmax")

            def call(self, inputs):
                return self.scores(self.hidden(inputs))

    Both are trained with `compile` and `fit`, called on arrays, summarised and saved.  Outputs are
    named by their layers, or by the keys of a dict; lists and dicts of losses and metrics refer to
    them.

    >>> from minidl import keras
    >>> x, t = keras.Input((4,), name="x"), keras.Input((2,), name="t")
    >>> both = keras.layers.concatenate([keras.layers.Dense(3)(x), t])
    >>> model = keras.Model([x, t], keras.layers.Dense(1)(both))
    >>> model([np.ones((5, 4)), np.ones((5, 2))]).shape, model.count_params()
    ((5, 1), 21)
    """

    order = "last"
    has_precision = False

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, **common: Any
    ) -> None:
        super().__init__(name=name, **common)
        self.graph: Graph | None = None
        if (inputs is None) != (outputs is None):
            raise ArgumentError(f"{type(self).__name__}: needs inputs and outputs, or neither")
        if inputs is not None:
            self._set_graph(Graph(type(self).__name__, inputs, outputs))

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has: all but the last training run, which is of this model."""
        return {**vars(self), "_trainer": None}

    def _set_graph(self, graph: Graph) -> None:
        """Become the model of a graph."""
        give_names(graph.operations, type(self).__name__)
        self.graph = graph
        self.built_for = graph.inputs[0].shape
        self._module, self._pipelines = None, {}
        chain = graph.only_chain if self.runs_graph else None
        self.parts = [] if chain is None else [chain.network]
        if chain is not None:
            self.supports_masking = all(layer.supports_masking for layer in chain.layers)
        if not self._trainable:
            self.trainable = False

    # The layers.

    @property
    def layers(self) -> list[Layer]:
        """The layers of the graph, from the inputs to the outputs; or those of the attributes."""
        return self.sublayers()

    def named_sublayers(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers of the graph with their names, then those of the attributes."""
        seen = set()
        for layer in () if self.graph is None else self.graph.layers:
            seen.add(id(layer))
            yield layer.name, layer
        for path, layer in super().named_sublayers():
            if id(layer) not in seen:
                yield path, layer

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name, or at this index."""
        if name is None:
            found, index = self.layers, 0 if index is None else index
            if not -len(found) <= index < len(found):
                raise ArgumentError(f"get_layer: {self.title} has {len(found)} layers; got {index}")
            return found[index]
        return named("get_layer", "layer", {layer.name: layer for layer in self.layers}, name)

    @property
    def runs_graph(self) -> bool:
        """Whether the model computes what its graph says, and not by a `call` of its own."""
        return self.graph is not None and type(self).call is Model.call

    @property
    def is_modular(self) -> bool:
        """Whether it is one chain of layers that are made of modules."""
        return bool(self.parts)

    # Computation.

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The outputs; a subclass defines it."""
        if self.graph is None:
            raise ArgumentError(
                f"{self.title} computes nothing: give Model inputs and outputs, or a call(inputs)"
            )
        if self.is_modular:
            (x,) = self.in_graph_order("call", inputs)
            return Layer.call(self, x)
        return self.graph.run(self.in_graph_order("call", inputs))

    def in_graph_order(self, who: str, inputs: Any) -> list[Tensor]:
        """The tensors of inputs in the order of the graph's, each checked to fit."""
        assert self.graph is not None
        graph = self.graph
        values = self.flat_inputs(who, inputs)
        for x, value in zip(graph.inputs, values, strict=True):
            if not isinstance(value, Tensor):
                raise DTypeError(f"{who}: {self.title} needs arrays; got {describe(value)}")
            name = f": {x.name}" if len(values) > 1 else ""
            data.check_shape(f"{who}: {self.name}{name}", value.shape, x.shape[1:])
        return values

    def flat_inputs(self, who: str, inputs: Any) -> list[Any]:
        """The leaves of inputs, given in the model's structure, as a list, or as a dict by name."""
        if self.graph is None:
            return flatten(inputs)
        graph = self.graph
        names, structure = [x.name for x in graph.inputs], graph.inputs_structure
        if isinstance(structure, dict):
            names = sorted(structure)
            if list(structure) != names and not isinstance(inputs, dict):
                raise ArgumentError(
                    f"{who}: {self.title} has inputs {list(structure)}, in an order that is not "
                    f"that of their names; give it a dict of them, and no {type(inputs).__name__}"
                )
        if isinstance(inputs, dict):
            missing = [name for name in names if name not in inputs]
            if missing:
                raise ArgumentError(
                    f"{who}: {self.title} has inputs {names}; got {list(inputs)}, without {missing}"
                )
            return [inputs[name] for name in names]
        values = flatten(inputs)
        if len(values) != len(names):
            needs = f"{len(names)} inputs ({', '.join(names)})" if len(names) > 1 else "one input"
            raise ShapeError(f"{who}: {self.title} needs {needs}; got {len(values)}")
        return values

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output, or the shapes of the outputs in their structure."""
        if self.graph is None:
            return super().compute_output_shape(input_shape)
        if self.is_modular:
            shape = tuple(input_shape)
            for layer in self.parts_layers():
                shape = layer.compute_output_shape(shape)
            return shape
        given = [input_shape] if is_shape(input_shape) else list(_shapes(input_shape))
        if [tuple(shape) for shape in given] == [x.shape for x in self.graph.inputs]:
            return map_leaves(lambda x: x.shape, self.graph.outputs_structure)
        return super().compute_output_shape(input_shape)

    def parts_layers(self) -> list[Layer]:
        """The layers of a modular model, in order."""
        chain = None if self.graph is None else self.graph.only_chain
        return [] if chain is None else chain.layers

    @property
    def input_dtype(self) -> str:
        """The dtype that inputs are converted to."""
        layers = self.parts_layers()
        return layers[0].input_dtype if layers else self.compute_dtype

    def output_spec(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], arguments: dict[str, Any]
    ) -> Any:
        """The symbolic outputs of a call."""
        first = next(iter(arguments.values()))
        if self.graph is not None and self.runs_graph:
            values = self.flat_inputs("call", first)
            if [x.shape for x in values] == [x.shape for x in self.graph.inputs]:
                copy = lambda x: KerasTensor(x.shape, x.dtype)
                return map_leaves(copy, self.graph.outputs_structure)
        return self._tried(args, kwargs)

    def lengths(self, shape: Shape) -> Shape:
        """None: its layers check what they are given."""
        return ()

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of this shape, batch included: (None, 784)."""
        if self.graph is None:
            self._tried((shapes_to_tensors(input_shape, self.dtype),), {})

    def _build(self, arguments: dict[str, Any], first: Any) -> None:
        """The layers are built when they are called."""
        if type(self).build is not Model.build and not self.built:
            super()._build(arguments, first)
        elif not self.built:
            self.refuse_foreign_parts()
            give_names(self.sublayers())
            self.built = True

    def _masked(self, first: Any, mask: Any, outputs: Any) -> Any:
        """The outputs with their masks, which its layers have given them."""
        return super()._masked(first, mask, outputs) if self.is_modular else outputs

    # Its inputs and outputs.

    def _own_graph(self, what: str) -> Graph:
        if self.graph is None:
            raise ArgumentError(
                f"{self.title} has no {what}: its inputs are not known before it is called; "
                "models made of Input and layers have"
            )
        return self.graph

    @property
    def input(self) -> Any:
        """The symbolic input, or inputs in their structure."""
        return self._own_graph("input").inputs_structure

    @property
    def output(self) -> Any:
        """The symbolic output, or outputs in their structure."""
        return self._own_graph("output").outputs_structure

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs as a list."""
        return self._own_graph("inputs").inputs

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs as a list."""
        return self._own_graph("outputs").outputs

    @property
    def input_shape(self) -> Any:
        """The shape of the input, with None for the batch."""
        return map_leaves(lambda x: x.shape, self.input)

    @property
    def output_shape(self) -> Any:
        """The shape of the output, with None for the batch."""
        return map_leaves(lambda x: x.shape, self.output)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs: of their layers, or the keys of a dict.

        A second output of one layer has a number: lstm, lstm_1.
        """
        if self.graph is None:
            return []
        structure = self.graph.outputs_structure
        if isinstance(structure, dict) and not any(map(is_nested, structure.values())):
            return sorted(structure)
        names: list[str] = []
        for x in self.graph.outputs:
            base = x.name if x.node is None else x.node.layer.name
            names.append(unused(base, names))
        return names

    def summary(self, print_fn: Callable[[str], Any] | None = print, **layout: Any) -> None:
        """Print a table of the layers, their output shapes and numbers of parameters.

        Of a graph that branches, it also says what each layer is connected to.  Keras's arguments
        that only change the layout, such as line_length, have no effect.
        """
        layout = {name: value for name, value in layout.items() if name not in _LAYOUT}
        refuse("summary", layout, ())
        self.must_be_built("summary")
        make = table if self.graph is None or self.graph.only_chain else graph_table
        (print_fn or print)(make(self))

    # Weights in a file.

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Save the weights as a safetensors file, for `load_weights` of an equal model."""
        io.save_weights(path, self.network_for("save_weights"))

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Load the weights of a file; if they do not fit, nothing is changed."""
        io.load_weights(path, self.network_for("load_weights"))


def _shapes(structure: Any) -> Iterator[Any]:
    """Yield the shapes in a structure, those of a dict in the order of its sorted keys."""
    parts = [structure[k] for k in sorted(structure)] if isinstance(structure, dict) else structure
    for part in parts:
        if is_shape(part):
            yield part
        else:
            yield from _shapes(part)


def give_names(layers: list[Any], who: str | None = None) -> None:
    """Give layers unique names: dense, then dense_1, and so on; those given stay as they are.

    who    raises ArgumentError if two are given the same; None: they may
    """
    used = {layer.name for layer in layers if layer.has_own_name}
    if who is not None and len(used) < sum(layer.has_own_name for layer in layers):
        own = [layer.name for layer in layers if layer.has_own_name]
        twice = next(name for name in own if own.count(name) > 1)
        raise ArgumentError(f"{who}: two layers are called {twice!r}")
    for layer in (layer for layer in layers if not layer.has_own_name):
        layer.name = layer.name if layer.name not in used else unused(layer.base_name, used)
        used.add(layer.name)


def unused(name: str, used: Collection[str]) -> str:
    """The name, with a number if it is used: dense_1."""
    found, number = name, 0
    while found in used:
        number += 1
        found = f"{name}_{number}"
    return found
