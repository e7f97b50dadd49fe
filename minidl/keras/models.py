"""Sequential: Keras's model of one layer after another, trained by `minidl.train`.

Models that branch (the functional API) and subclasses of `Model` with a `call` are not here: they
are a `minidl.nn.Module` with a `forward`, and a `minidl.train.Trainer`.
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
from minidl.keras.layers.base import Layer, Shape, Variable, in_order, layer_of
from minidl.keras.layers.core import InputLayer
from minidl.keras.names import refuse
from minidl.keras.order import Cast
from minidl.keras.summary import table
from minidl.keras.training import Compiled, compiled
from minidl.train.losses import named

__all__ = ["Sequential"]

_NO_EFFECT = {"run_eagerly", "jit_compile", "steps_per_execution", "auto_scale_loss"}
_NOT_OFFERED = {"loss_weights", "weighted_metrics"}
_NOT_IN_FIT = {"class_weight", "sample_weight", "steps_per_epoch", "validation_steps"}


class Sequential(Layer):
    """One layer after another.

        model = Sequential([Dense(64, activation="relu", input_shape=(784,)), Dense(10, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x_train, y_train, epochs=5, validation_data=(x_test, y_test))
        model.predict(x_new)

    The shape of a sample is told by an `Input` before the layers, by the first one's input_shape,
    by `build`, or by the first data.  A model is a layer of others, too.

    network    the `nn.Sequential` that computes, once the shape is known, for all that takes a
               Module; the same parameters

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

    # What it is made of.

    def add(self, layer: Layer) -> None:
        """Add a layer at the end; if the shape of a sample is known, it gets its weights."""
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
        """Give it a name of its own: dense, then dense_1, and so on."""
        taken = {other.name for other in self.layers}
        if layer.has_own_name and layer.name in taken:
            raise ArgumentError(f"Sequential: two layers are called {layer.name!r}")
        base, number = layer.name, 0
        while layer.name in taken:
            number += 1
            layer.name = f"{base}_{number}"

    def build(self, input_shape: Shape) -> None:
        """Make the weights for inputs of this shape, with the batch: (None, 784)."""
        shape = after = tuple(input_shape)
        for layer in self.layers:
            layer.build(after)
            after = layer.compute_output_shape(after)
        if not self.built:
            self.input_shape = shape[1:]
            self._compose(shape)

    def _compose(self, shape: Shape) -> None:
        """Put the modules of all layers together."""
        self.built_for, self.network = shape, self._network(shape, "last")
        self.parts = [self.network]

    def _network(self, shape: Shape, end: str) -> nn.Sequential:
        """The modules in order, with the channels of the result last or first."""
        return nn.Sequential(Cast(self.input_dtype), *in_order(self.layers, shape, end)).eval()

    def _shape_after(self, shape: Shape) -> Shape:
        for layer in self.layers:
            shape = layer.compute_output_shape(shape)
        return shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """What the last layer gives."""
        return self._shape_after(tuple(input_shape))

    @property
    def input_dtype(self) -> str:
        """What inputs are converted to."""
        return self.layers[0].input_dtype if self.layers else self.dtype

    @property
    def output_shape(self) -> Shape:
        """The shape of the result, with None in place of the batch."""
        self.must_be_built("output_shape")
        return self._shape_after(self.built_for)

    @property
    def variables(self) -> list[Variable]:
        """Those of all layers, layer by layer."""
        return [variable for layer in self.layers for variable in layer.variables]

    @property
    def trainable(self) -> bool:
        """Whether it learns."""
        return self._trainable

    @trainable.setter
    def trainable(self, wanted: bool) -> None:
        self._trainable = bool(wanted)
        for layer in self.layers:
            layer.trainable = wanted

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name, or at a place."""
        if name is None:
            return self.layers[0 if index is None else index]
        return named("get_layer", "layer", {layer.name: layer for layer in self.layers}, name)

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print a table of the layers, the shapes that they give, and their parameters."""
        self.must_be_built("summary")
        print_fn(table(self.name, self.layers, self.built_for))

    # Use.

    def __call__(self, x: Any, training: bool = False) -> Tensor:
        """The result for a batch, which can be differentiated; with `training`, as in `fit`."""
        x = self._inputs("call", x)
        try:
            return self.network.train(training)(x)
        finally:
            self.network.eval()

    def predict(self, x: Any, batch_size: int | None = 32, verbose: Any = "auto") -> np.ndarray:
        """The results for all samples, as an array: of a network that ends in softmax, (N, C)."""
        dataset = TensorDataset(self._inputs("predict", x))
        with no_grad():
            results = [self.network(batch) for (batch,) in DataLoader(dataset, batch_size or 32)]
        if not results:
            return np.zeros((0, *(n or 0 for n in self.output_shape[1:])), self.dtype)
        return np.array(ops.concat(results, axis=0))

    # Training.

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Sequence[Any] | None = None,
        **others: Any,
    ) -> None:
        """Say how to train.

        optimizer    a name, one of `minidl.keras.optimizers`, or one of `minidl.optim`
        loss         a name, one of `minidl.keras.losses`, or (prediction, target) → Tensor.  By
                     name, as in Keras, a cross-entropy is of probabilities: a model that ends in
                     softmax is trained on what comes before it, which is the same number, and exact
        metrics      names, or Metrics of `minidl.train.metrics`

        What only changes how Keras runs (run_eagerly, jit_compile, …) changes nothing here.
        """
        others = {name: value for name, value in others.items() if name not in _NO_EFFECT}
        refuse("compile", others, _NOT_OFFERED)
        self._compiled = compiled(optimizer, loss, metrics)

    @property
    def optimizer(self) -> Any:
        """The optimiser that `compile` was given, or made."""
        return self._must_be_compiled("optimizer").optimizer

    @property
    def stop_training(self) -> bool:
        """Whether training ends after this batch or epoch; for callbacks."""
        return self._trainer is not None and self._trainer.stop_training

    @stop_training.setter
    def stop_training(self, wanted: bool) -> None:
        if self._trainer is not None:
            self._trainer.stop_training = wanted

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
        """Train until `epochs` epochs are done; `.history` of the result has a list for each name.

        x, y                arrays, with the samples first; bytes and integers become floats
        verbose             0: nothing; else a line for each epoch, and a bar on a terminal
        validation_split    the share of samples, the last ones, that are not trained on but
                            evaluated after each epoch
        validation_data     (x, y) for that, instead

        Called again, it goes on with the weights and the optimiser as they are.
        """
        self._must_be_compiled("fit")
        refuse("fit", others, _NOT_IN_FIT)
        x, y = self._pair("fit", x, y)
        validation = None
        if validation_data is not None:
            validation = self._pair("fit: validation_data", *data.two("fit", validation_data))
        elif validation_split:
            (x, y), validation = data.split(x, y, validation_split)
        callbacks = [*(callbacks or ()), *([train.Progress()] if verbose else [])]
        for callback in callbacks:
            callback.model = self
        self._trainer = self._new_trainer(callbacks)
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
            self.network.eval()

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = 32,
        verbose: Any = "auto",
        return_dict: bool = False,
    ) -> Any:
        """The loss, or with metrics [loss, *metrics], or a dict of them by name."""
        self._must_be_compiled("evaluate")
        pair = self._pair("evaluate", x, y)
        found = self._new_trainer([]).evaluate(pair, batch_size or 32)
        if return_dict:
            return found
        return list(found.values()) if len(found) > 1 else found["loss"]

    # Weights in a file.

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Save the weights as a safetensors file; `load_weights` of an equal model reads it."""
        self.must_be_built("save_weights")
        io.save_weights(path, self.network)

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Take the weights of a file; if it does not fit, nothing has changed."""
        self.must_be_built("load_weights")
        io.load_weights(path, self.network)

    # How these are done.

    def _must_be_compiled(self, who: str) -> Compiled:
        if self._compiled is None:
            raise ArgumentError(f"{who}: say how to train first: compile(optimizer, loss, metrics)")
        return self._compiled

    def _inputs(self, who: str, x: Any) -> Tensor:
        """x as a tensor that fits the model, which is built for it if it was not."""
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
        return x, data.targets(who, y, self._compiled.loss, output)

    def _new_trainer(self, callbacks: list[train.Callback]) -> train.Trainer:
        """A Trainer of the network; minidl's losses and metrics have the classes on axis 1."""
        trained = self.network
        if self._compiled.squash is not None and len(self.output_shape) > 2:
            trained = self._network(self.built_for, "first")
        return self._compiled.trainer(self.network, trained, callbacks)
