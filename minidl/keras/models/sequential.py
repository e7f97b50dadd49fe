"""Sequential: a stack of layers."""

from collections.abc import Iterable, Iterator
from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, describe
from minidl.keras.graph.graph import Graph
from minidl.keras.graph.tensor import KerasTensor
from minidl.keras.layers.base import Layer, layer_of
from minidl.keras.layers.core import Input, InputLayer
from minidl.keras.models.model import Model, give_names
from minidl.nn import Module


class Sequential(Model):
    """A stack of layers.

        model = Sequential([Dense(64, activation="relu", input_shape=(784,)), Dense(10, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x_train, y_train, epochs=5, validation_data=(x_test, y_test))
        model.predict(x_new)

    The shape of a sample comes from an `Input` before the layers, from the first layer's
    input_shape, from `build`, or from the first data.  A model can be a layer of another.

    network    the module that computes, an `nn.Sequential` if all layers are made of modules, with
               the same parameters, once the shape is known

    >>> from minidl.keras import Input, Sequential, layers
    >>> model = Sequential([Input(shape=(4,)), layers.Dense(3, activation="relu"), layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> history = model.fit(np.ones((8, 4)), np.ones(8), epochs=2, verbose=0)
    >>> model.count_params(), model.predict(np.ones((5, 4)), verbose=0).shape, len(history.epoch)
    (19, (5, 1), 2)
    """

    def __init__(
        self, layers: Iterable[Layer] | None = None, name: str | None = None, **common: Any
    ) -> None:
        super().__init__(name=name, **common)
        self._stack: list[Layer] = []
        self._input: KerasTensor | None = None
        if self.sample_shape is not None:
            self._input = Input(self.sample_shape)
        for layer in layers or ():
            self.add(layer)

    # Layers.

    def add(self, layer: Any) -> None:
        """Append a layer; if the shape of a sample is known, create its weights."""
        if isinstance(layer, KerasTensor) and layer.node is not None and not layer.node.inputs:
            layer = layer.node.layer
        layer = layer_of(layer, "Sequential")
        if any(layer is other for other in self._stack):
            raise ArgumentError(f"Sequential: {layer.title} is in the model already")
        if isinstance(layer, InputLayer):
            if self._stack or self._input is not None:
                raise ArgumentError("Sequential: an Input comes first, and once")
            self._input = layer.output
            return
        name = layer.name
        give_names([*self._stack, layer], "Sequential")
        if self._input is None and not self._stack:
            shape = layer.sample_shape
            if isinstance(layer, Model) and layer.graph is not None:
                shape = layer.graph.inputs[0].shape[1:]
            self._input = None if shape is None else Input(shape)
        try:
            if self._input is not None:
                self._extend([layer])
        except BaseException:
            layer.name = name
            raise
        self._stack.append(layer)
        if not self._trainable:
            layer.trainable = False

    def _extend(self, layers: list[Layer]) -> None:
        """Apply more layers to the output so far."""
        assert self._input is not None
        y = self._input if self.graph is None else self.graph.outputs[0]
        for layer in layers:
            y = layer(y)
            if not isinstance(y, KerasTensor):
                raise ArgumentError(
                    f"Sequential: {layer.title} gives several outputs, and the next layer takes "
                    "one; Model(inputs, outputs) joins layers of any kind"
                )
        self._set_graph(Graph("Sequential", self._input, y))

    def named_sublayers(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers with their names."""
        return ((layer.name, layer) for layer in self._stack)

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of this shape, batch included: (None, 784)."""
        if self.graph is None:
            self._input = Input(tuple(input_shape)[1:])
            self._extend(self._stack)

    def _build(self, arguments: dict[str, Any], first: Any) -> None:
        """Create the weights for these inputs, if there are none."""
        if not isinstance(first, Tensor | KerasTensor):
            raise DTypeError(f"{self.title}: takes one tensor; got {describe(first)}")
        self.build_for_data("call", first)

    def build_for_data(self, who: str, x: Any) -> None:
        """Create the weights for inputs like x, if there are none."""
        if not self._stack:
            raise ArgumentError(f"{who}: the model has no layers; add(layer) first")
        if self.graph is None:
            self.build((None, *x.shape[1:]))

    @property
    def input_dtype(self) -> str:
        """The dtype that inputs are converted to."""
        return self._stack[0].input_dtype if self._stack else self.compute_dtype

    @property
    def network(self) -> Module | None:
        """The module that computes; None before the shape of the inputs is known."""
        return self.module
