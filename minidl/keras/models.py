"""The Sequential model, trained by `minidl.train`.

The functional API and subclasses of `Model` with a `call` are not supported: write a
`minidl.nn.Module` with a `forward`, and train it with a `minidl.train.Trainer`.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minidl import io, nn, ops, train
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.data import DataLoader, TensorDataset
from minidl.errors import ArgumentError
from minidl.keras import data
from minidl.keras.checks import refuse
from minidl.keras.data_format import Cast
from minidl.keras.layers.base import Layer, Shape, Variable, in_order, layer_of
from minidl.keras.layers.core import InputLayer
from minidl.keras.summary import table
from minidl.keras.training import Compiled, compiled
from minidl.train.losses import named

__all__ = ["Sequential"]

_NO_EFFECT = {"run_eagerly", "jit_compile", "steps_per_execution", "auto_scale_loss"}
_UNSUPPORTED = {"loss_weights", "weighted_metrics"}
_UNSUPPORTED_IN_FIT = {"class_weight", "sample_weight", "steps_per_epoch", "validation_steps"}


class Sequential(Layer):
    """A stack of layers.

        model = Sequential([Dense(64, activation="relu", input_shape=(784,)), Dense(10, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x_train, y_train, epochs=5, validation_data=(x_test, y_test))
        model.predict(x_new)

    The shape of a sample comes from an `Input` before the layers, from the first layer's
    input_shape, from `build`, or from the first data.  A model can be a layer of another.

    network    the `nn.Sequential` that computes, with the same parameters, once the shape is known

    >>> from minidl.keras import Input, Sequential, layers
    >>> model = Sequential([Input(shape=(4,)), layers.Dense(3, activation="relu"), layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> history = model.fit(np.ones((8, 4)), np.ones(8), epochs=2, verbose=0)
    >>> model.count_params(), model.predict(np.ones((5, 4)), verbose=0).shape, len(history.epoch)
    (19, (5, 1), 2)
    """

    order = "last"

    def __init__(
        self, layers: Iterable[Layer] | None = None, name: str | None = None, **common: Any
    ) -> None:
        super().__init__(name=name, **common)
        self.layers: list[Layer] = []
        self.network: nn.Sequential | None = None
        self._compiled: Compiled | None = None
        self._trainer: train.Trainer | None = None
        for layer in layers or ():
            self.add(layer)

    # Layers.

    def add(self, layer: Layer) -> None:
        """Append a layer; if the shape of a sample is known, create its weights."""
        layer = layer_of(layer, "Sequential")
        if any(layer is other for other in self.layers):
            raise ArgumentError(f"Sequential: {layer.title} is in the model already")
        if isinstance(layer, InputLayer):
            if self.layers or self.input_shape is not None:
                raise ArgumentError("Sequential: an Input comes first, and once")
            self.input_shape = layer.input_shape
            return
        self._name(layer)
        if self.input_shape is None and not self.layers:
            self.input_shape = layer.input_shape
        if self.input_shape is not None:
            layer.build(self._shape_after((None, *self.input_shape)))
        self.layers.append(layer)
        if not self._trainable:
            layer.trainable = False
        if self.input_shape is not None:
            self._compose((None, *self.input_shape))

    def _name(self, layer: Layer) -> None:
        """Give the layer a unique name: dense, then dense_1, and so on."""
        used = {other.name for other in self.layers}
        if layer.has_own_name and layer.name in used:
            raise ArgumentError(f"Sequential: two layers are called {layer.name!r}")
        base, number = layer.name, 0
        while layer.name in used:
            number += 1
            layer.name = f"{base}_{number}"

    def build(self, input_shape: Shape) -> None:
        """Create the weights for inputs of this shape, batch included: (None, 784)."""
        shape = after = tuple(input_shape)
        for layer in self.layers:
            layer.build(after)
            after = layer.compute_output_shape(after)
        if not self.built:
            self.input_shape = shape[1:]
            self._compose(shape)

    def _compose(self, shape: Shape) -> None:
        """Compose the network from the modules of all layers."""
        self.built_for, self.network = shape, self._network(shape, "last")
        self.parts = [self.network]

    def _network(self, shape: Shape, end: str) -> nn.Sequential:
        """The modules of all layers, with the channels of the output last or first."""
        return nn.Sequential(Cast(self.input_dtype), *in_order(self.layers, shape, end)).eval()

    def _shape_after(self, shape: Shape) -> Shape:
        for layer in self.layers:
            shape = layer.compute_output_shape(shape)
        return shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The output shape of the last layer."""
        return self._shape_after(tuple(input_shape))

    @property
    def input_dtype(self) -> str:
        """The dtype that inputs are converted to."""
        return self.layers[0].input_dtype if self.layers else self.dtype

    @property
    def output_shape(self) -> Shape:
        """The shape of the output, with None for the batch."""
        return self._shape_after(self.must_be_built("output_shape"))

    @property
    def variables(self) -> list[Variable]:
        """The variables of all layers, in order."""
        return [variable for layer in self.layers for variable in layer.variables]

    @property
    def trainable(self) -> bool:
        """Whether its weights are trained."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self.layers:
            layer.trainable = value

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name, or at this index."""
        if name is None:
            return self.layers[0 if index is None else index]
        return named("get_layer", "layer", {layer.name: layer for layer in self.layers}, name)

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print a table of the layers, their output shapes and numbers of parameters."""
        print_fn(table(self.name, self.layers, self.must_be_built("summary")))

    # Inference.

    def __call__(self, x: Any, training: bool = False) -> Tensor:
        """The output for a batch, which can be differentiated; with `training`, as in `fit`."""
        x = self._inputs("call", x)
        network = self._built_network("call")
        try:
            return network.train(training)(x)
        finally:
            network.eval()

    def predict(self, x: Any, batch_size: int | None = 32, verbose: Any = "auto") -> np.ndarray:
        """The outputs for all samples as an array, (N, C) for a classifier."""
        dataset = TensorDataset(self._inputs("predict", x))
        network = self._built_network("predict")
        with no_grad():
            outputs = [network(batch) for (batch,) in DataLoader(dataset, batch_size or 32)]
        if not outputs:
            return np.zeros((0, *(n or 0 for n in self.output_shape[1:])), self.dtype)
        return np.array(ops.concat(outputs, axis=0))

    # Training.

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Sequence[Any] | None = None,
        **others: Any,
    ) -> None:
        """Configure training.

        optimizer    a name, one of `minidl.keras.optimizers`, or one of `minidl.optim`
        loss         a name, one of `minidl.keras.losses`, or a function (y_true, y_pred) → Tensor
                     of one number, or one per sample.  A cross-entropy given by name is of
                     probabilities, as in Keras; for a model that ends in softmax it is computed
                     from the logits, which is the same but exact
        metrics      names, or Metrics of `minidl.train.metrics`

        Arguments that only affect how Keras executes (run_eagerly, jit_compile, …) have no effect.
        """
        others = {name: value for name, value in others.items() if name not in _NO_EFFECT}
        refuse("compile", others, _UNSUPPORTED)
        self._compiled = compiled(optimizer, loss, metrics)

    @property
    def optimizer(self) -> Any:
        """The optimiser that `compile` was given or created."""
        return self._must_be_compiled("optimizer").optimizer

    @property
    def stop_training(self) -> bool:
        """Whether training ends after this batch or epoch; for callbacks."""
        return self._trainer is not None and self._trainer.stop_training

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        if self._trainer is not None:
            self._trainer.stop_training = value

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = 32,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Sequence[train.Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        validation_batch_size: int | None = None,
        **others: Any,
    ) -> train.History:
        """Train up to epoch `epochs`; `.history` of the result has a list of values for each name.

        x, y                arrays with the samples along the first axis; integers become floats
        verbose             0: silent; else a line for each epoch, and a progress bar on a terminal
        validation_split    the fraction of samples, the last ones, that are held out and evaluated
                            after each epoch
        validation_data     (x, y) to evaluate instead

        Called again, it continues with the current weights and state of the optimiser.
        """
        self._must_be_compiled("fit")
        refuse("fit", others, _UNSUPPORTED_IN_FIT)
        x, y = self._pair("fit", x, y)
        validation = None
        if validation_data is not None:
            validation = self._pair(
                "fit: validation_data", *data.unpack_pair("fit", validation_data)
            )
        elif validation_split:
            (x, y), validation = data.split(x, y, validation_split)
        listeners: list[Any] = [*(callbacks or ()), *([train.Progress()] if verbose else [])]
        for callback in listeners:
            callback.model = self  # where callbacks written for Keras expect it
        self._trainer = self._new_trainer(listeners)
        try:
            return self._trainer.fit(
                (x, y),
                epochs,
                batch_size=batch_size or 32,
                validation_data=validation,
                validation_batch_size=validation_batch_size,
                shuffle=shuffle,
                initial_epoch=initial_epoch,
            )
        finally:
            self._built_network("fit").eval()

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = 32,
        verbose: Any = "auto",
        return_dict: bool = False,
    ) -> Any:
        """The loss, or with metrics [loss, *metrics]; with return_dict, a dict of them by name."""
        self._must_be_compiled("evaluate")
        pair = self._pair("evaluate", x, y)
        values = self._new_trainer([]).evaluate(pair, batch_size or 32)
        if return_dict:
            return values
        return list(values.values()) if len(values) > 1 else values["loss"]

    # Weights in a file.

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Save the weights as a safetensors file, for `load_weights` of an equal model."""
        io.save_weights(path, self._built_network("save_weights"))

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Load the weights of a file; if they do not fit, nothing is changed."""
        io.load_weights(path, self._built_network("load_weights"))

    # Helpers.

    def _built_network(self, who: str) -> nn.Sequential:
        """The network; raise if the model was not built."""
        self.must_be_built(who)
        assert self.network is not None
        return self.network

    def _must_be_compiled(self, who: str) -> Compiled:
        if self._compiled is None:
            raise ArgumentError(f"{who}: say how to train first: compile(optimizer, loss, metrics)")
        return self._compiled

    def _inputs(self, who: str, x: Any) -> Tensor:
        """x as a tensor that fits the model, which is built for it if necessary."""
        if not self.layers:
            raise ArgumentError(f"{who}: the model has no layers; add(layer) first")
        x = data.inputs(who, x, self.input_dtype)
        if self.input_shape is not None:
            data.check_shape(f"{who}: {self.name}", x.shape, self.input_shape)
        if not self.built:
            self.build((None, *x.shape[1:]))
        return x

    def _pair(self, who: str, x: Any, y: Any) -> tuple[Tensor, Tensor]:
        """Inputs and targets as the trained network needs them."""
        x = self._inputs(who, x)
        output = self._shape_after((None, *x.shape[1:]))
        return x, data.targets(who, y, self._must_be_compiled(who).loss, output)

    def _new_trainer(self, callbacks: list[train.Callback]) -> train.Trainer:
        """A Trainer of the network, whose classes minidl's losses and metrics need on axis 1."""
        configured, network = self._must_be_compiled("fit"), self._built_network("fit")
        trained = network
        if configured.squash is not None and len(self.output_shape) > 2:
            trained = self._network(self.must_be_built("fit"), "first")
        return configured.trainer(network, trained, callbacks)
