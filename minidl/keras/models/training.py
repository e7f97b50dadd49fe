"""How models are compiled, trained, evaluated and applied."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from minidl import ops, train
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.data import DataLoader
from minidl.errors import ArgumentError
from minidl.keras import data, optimizers
from minidl.keras.checks import refuse
from minidl.keras.graph.graph import Chain, Graph
from minidl.keras.graph.tensor import KerasTensor
from minidl.keras.layers import calling
from minidl.keras.layers.base import Layer
from minidl.keras.layers.composition import run_in_mode
from minidl.keras.models.compiled import Compiled, OutputSettings, compiled
from minidl.keras.models.objective import JointObjective, OutputLoss, OutputMetric, ending_of
from minidl.keras.structure import flatten, map_leaves, pack
from minidl.nn import Module
from minidl.train.evaluation import metrics_for
from minidl.train.precision import Precision

_NO_EFFECT = {"run_eagerly", "jit_compile", "steps_per_execution"}
_UNSUPPORTED = {"weighted_metrics"}
_UNSUPPORTED_IN_FIT = {
    "class_weight",
    "sample_weight",
    "steps_per_epoch",
    "validation_steps",
    "validation_freq",
}
# What subclasses of Keras's Model may define to train in another way; here nothing calls it.
_STEPS = "train_step", "test_step", "predict_step", "compute_loss", "compute_metrics"
_UNSUPPORTED_ELSEWHERE = {"class_weight", "sample_weight", "steps", "callbacks"}


class _Trainer(train.Trainer):
    """A Trainer of a model's module with an objective that has any number of outputs."""

    def __init__(self, model: Module, objective: JointObjective, *others: Any, **clip: Any) -> None:
        optimizer, metrics, callbacks = others
        super().__init__(model, optimizer, objective.loss, metrics, callbacks, **clip)
        self.objective = cast(Any, objective)


class Trained(Layer):
    """What all models do with data; a Model says what they compute."""

    graph: Graph | None
    name: str

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self._compiled: Compiled | None = None
        self._trainer: train.Trainer | None = None
        # Of a model that is no graph: the symbolic outputs for inputs of these shapes.
        self._outputs: Any = None
        self._tried_with: Any = None
        self._structure: Any = None  # of the inputs that it was given last

    @property
    def runs_graph(self) -> bool:
        """Whether the model computes what its graph says, and not by a `call` of its own."""
        raise NotImplementedError

    def in_graph_order(self, who: str, inputs: Any) -> list[Tensor]:
        """The tensors of inputs in the order of the graph's, each checked to fit."""
        raise NotImplementedError

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs."""
        raise NotImplementedError

    # Inference.

    def predict(
        self, x: Any, batch_size: int | None = 32, verbose: Any = "auto", **others: Any
    ) -> Any:
        """The outputs for all samples as arrays: (N, C) of a classifier; or a list or a dict."""
        refuse("predict", others, _UNSUPPORTED_ELSEWHERE)
        samples = self._samples("predict", x)
        apply: Callable[[Any], Any] = self
        if self.is_modular:  # what a call checks has been checked
            (network,) = self.parts
            apply = partial(run_in_mode, network, tuple(network.modules()), False)
        with no_grad(), calling.calling(False):
            loader = DataLoader(samples, batch_size or 32)
            batches = [apply(samples.structured(inputs)) for inputs in loader]
        if not batches:
            empty = lambda x: np.zeros((0, *(n or 0 for n in x.shape[1:])), x.dtype)
            return map_leaves(empty, self._symbolic_outputs())
        columns = zip(*map(flatten, batches), strict=True)
        return pack(batches[0], [np.array(ops.concat(list(c), axis=0)) for c in columns])

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch as arrays."""
        return self.predict(x, batch_size=max(len(flatten(x)[0]), 1))

    # Training.

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        auto_scale_loss: bool = True,
        **others: Any,
    ) -> None:
        """Configure training.

        optimizer       a name, one of `minidl.keras.optimizers`, or one of `minidl.optim`
        loss            a name, one of `minidl.keras.losses`, or a function (y_true, y_pred) →
                        Tensor of one number, or one per sample.  A cross-entropy given by name is
                        of probabilities, as in Keras; for a model that ends in softmax it is
                        computed from the logits, which is the same but exact
        metrics         names, or Metrics of `minidl.train.metrics`
        loss_weights    the factors of the losses of several outputs in the total
        auto_scale_loss whether the optimiser of a model with the policy "mixed_float16" is put into
                        a `LossScaleOptimizer`

        With several outputs, loss, metrics and loss_weights are a list in their order, or a dict by
        their names; one loss is for all.  None as a loss leaves an output out.

        Arguments that only affect how Keras executes (run_eagerly, jit_compile, …) have no effect.
        """
        others = {name: value for name, value in others.items() if name not in _NO_EFFECT}
        refuse("compile", others, _UNSUPPORTED)
        if own := [name for name in _STEPS if hasattr(type(self), name)]:
            raise ArgumentError(
                f"compile: {type(self).__name__} defines {', '.join(own)}, which fit of minidl "
                "does not call; write the loop yourself, with minidl.optim"
            )
        scaled = auto_scale_loss and self.dtype_policy.is_mixed
        self._compiled = compiled(optimizer, loss, metrics, loss_weights, scaled)

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

        x, y                arrays with the samples along the first axis, integers become floats;
                            lists or dicts of them for several inputs or outputs
        verbose             0: silent; else a line for each epoch, and a progress bar on a terminal
        validation_split    the fraction of samples, the last ones, that are held out and evaluated
                            after each epoch
        validation_data     (x, y) to evaluate instead

        The names are "loss" and those of the metrics; with several outputs also out_loss, and
        out_accuracy, for an output called out; and each with val_ before it.

        Called again, it continues with the current weights and state of the optimiser.
        """
        self._must_be_compiled("fit")
        refuse("fit", others, _UNSUPPORTED_IN_FIT)
        samples, validation = self._samples("fit", x, y), None
        if validation_data is not None:
            pair = data.unpack_pair("fit", validation_data)
            validation = self._samples("fit: validation_data", *pair)
        elif validation_split:
            samples, validation = samples.split(validation_split)
        self._must_have_weights("fit", trained=True)
        listeners: list[Any] = [*(callbacks or ()), *([train.Progress()] if verbose else [])]
        for callback in listeners:
            callback.model = self  # where callbacks written for Keras expect it
        self._trainer = self._new_trainer(listeners)
        try:
            return self._trainer.fit(
                samples,
                epochs,
                batch_size=batch_size or 32,
                validation_data=validation,
                validation_batch_size=validation_batch_size,
                shuffle=shuffle,
                initial_epoch=initial_epoch,
            )
        finally:
            self.network_for("fit").eval()

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = 32,
        verbose: Any = "auto",
        return_dict: bool = False,
        **others: Any,
    ) -> Any:
        """The loss, or with metrics [loss, *metrics]; with return_dict, a dict of them by name.

        With several outputs: the loss, those of the outputs, and the metrics sorted by name.  The
        losses are in the order of the outputs; or in that of the dict of losses, if the outputs
        are a dict too.
        """
        refuse("evaluate", others, _UNSUPPORTED_ELSEWHERE)
        self._must_be_compiled("evaluate")
        samples = self._samples("evaluate", x, y)
        self._must_have_weights("evaluate")
        values = self._new_trainer([]).evaluate(samples, batch_size or 32)
        return self._results(values, return_dict)

    def train_on_batch(
        self, x: Any, y: Any = None, return_dict: bool = False, **others: Any
    ) -> Any:
        """One step with one batch; returns what `evaluate` does, of the batch before the step."""
        refuse("train_on_batch", others, _UNSUPPORTED_ELSEWHERE)
        self._must_be_compiled("train_on_batch")
        samples = self._samples("train_on_batch", x, y)
        self._must_have_weights("train_on_batch", trained=True)
        self._trainer = self._new_trainer([])
        try:
            history = self._trainer.fit(samples, 1, batch_size=len(samples), shuffle=False)
        finally:
            self.network_for("train_on_batch").eval()
        return self._results(history[-1], return_dict)

    def test_on_batch(self, x: Any, y: Any = None, return_dict: bool = False, **others: Any) -> Any:
        """What `evaluate` returns, of one batch."""
        refuse("test_on_batch", others, _UNSUPPORTED_ELSEWHERE)
        samples = self._samples("test_on_batch", x, y)
        return self.evaluate(x, y, batch_size=len(samples), return_dict=return_dict)

    # Helpers.

    def _results(self, values: dict[str, Any], return_dict: bool) -> Any:
        if return_dict:
            return values
        if len(self._names()) > 1:
            names, loss = self._names(), self._must_be_compiled("evaluate").loss
            if isinstance(loss, dict) and isinstance(self._symbolic_outputs(), dict):
                names = list(loss)
            losses = [f"{name}_loss" for name in names]
            head = ["loss", *(name for name in losses if name in values)]
            values = {n: values[n] for n in [*head, *sorted(set(values) - set(head))]}
        return list(values.values()) if len(values) > 1 else values["loss"]

    def network_for(self, who: str) -> Module:
        """The module that computes the model; raise if the model was not built."""
        self.must_be_built(who)
        module = self.module
        assert module is not None
        return module

    def _must_be_compiled(self, who: str) -> Compiled:
        if self._compiled is None:
            raise ArgumentError(f"{who}: say how to train first: compile(optimizer, loss, metrics)")
        return self._compiled

    def _must_have_weights(self, who: str, trained: bool = False) -> None:
        """Raise if there are no weights, or none that could be trained."""
        weights = self.trainable_weights if trained else self.weights
        if not weights:
            frozen = ": trainable is False" if self.weights else ""
            raise ArgumentError(
                f"{who}: {self.title} has no {'weights to train' if trained else 'weights'}"
                f"{frozen or '; its layers are attributes, created in __init__ and not in call'}"
            )

    def build_for_data(self, who: str, x: Any) -> None:
        """Create the weights for inputs like x, if there are none, and find the outputs' shapes."""
        shapes = [a.shape[1:] for a in flatten(x)]
        if not self.runs_graph and shapes != self._tried_with:
            symbolic = map_leaves(lambda a: KerasTensor((None, *a.shape[1:]), a.dtype), x)
            self._outputs, self._tried_with = self._tried((symbolic,), {}), shapes

    def _symbolic_outputs(self) -> Any:
        if self.runs_graph:
            assert self.graph is not None
            return self.graph.outputs_structure
        return self._outputs

    def _names(self) -> list[str]:
        """The names of the outputs; of a model that is no graph, output_1 and so on."""
        if self.runs_graph:
            return self.output_names
        outputs = self._symbolic_outputs()
        if isinstance(outputs, dict):
            return sorted(outputs)
        return [f"output_{i + 1}" for i in range(len(flatten(outputs)))]

    def _settings(self) -> list[OutputSettings]:
        return self._must_be_compiled("fit").for_outputs(self._names())

    def _samples(self, who: str, x: Any, y: Any = data.NOTHING) -> data.Samples:
        """The data as the trained module takes it; the model is built for it if necessary."""
        inputs = data.inputs(who, x, self.input_dtype, self.graph if self.runs_graph else None)
        self.build_for_data(who, inputs)
        flat = self.in_graph_order(who, inputs) if self.runs_graph else flatten(inputs)
        self._structure = inputs
        if self.runs_graph:
            assert self.graph is not None
            own = self.graph.inputs_structure
            self._structure = own if isinstance(own, dict) else None
        flat = [self._in_own_dtype(x) for x in flat]
        if y is data.NOTHING:
            return data.Samples(who, self._structure, flat, None)
        shapes = [x.shape for x in flatten(self._symbolic_outputs())]
        names, settings = self._names(), self._settings()
        given = data.by_output(who, y, names, [s.position for s in settings])
        pairs = zip(settings, given, strict=True)
        targets = [data.targets(who, t, s.loss, shapes[s.position]) for s, t in pairs]
        return data.Samples(who, self._structure, flat, [self._in_own_dtype(t) for t in targets])

    def _in_own_dtype(self, x: Tensor) -> Tensor:
        """Floats in the dtype of the model, once for all epochs."""
        return x.astype(self.dtype) if x.dtype.kind == "f" and x.dtype != self.dtype else x

    def _new_trainer(self, callbacks: list[train.Callback]) -> train.Trainer:
        """A Trainer; the optimiser and its state are shared by all of them."""
        settings, network = self._settings(), self.network_for("fit")
        run, chains = self._trunk([s.position for s in settings])
        shapes = [x.shape for x in flatten(self._symbolic_outputs())]
        endings = [
            ending_of(s, chain, len(shapes[s.position]))
            for s, chain in zip(settings, chains, strict=True)
        ]
        several = len(self._names()) > 1
        metrics: list[Any] = []
        for i, (s, ending) in enumerate(zip(settings, endings, strict=True)):
            name = s.name if several else None
            own = metrics_for(s.metrics, ending.objective.from_logits)
            metrics += [OutputMetric(metric, i, name) for metric in own]
        if len(settings) > 1:
            metrics = [*(OutputLoss(s.name, i) for i, s in enumerate(settings)), *metrics]
        optimizer = self.optimizer
        clip: dict[str, Any] = {}
        if isinstance(optimizer, optimizers.Optimizer):
            clip = {"clip_norm": optimizer.global_clipnorm, "clip_value": optimizer.clipvalue}
            if isinstance(optimizer, optimizers.LossScaleOptimizer):
                clip["mixed_precision"] = Precision(False, optimizer.scaler)  # layers cast
            optimizer = optimizer.of(network)
        return _Trainer(
            network, JointObjective(run, endings), optimizer, metrics, callbacks, **clip
        )

    def _trunk(self, indices: list[int]) -> tuple[Callable[..., list[Tensor]], list[Chain | None]]:
        """What computes the inputs of the last layers of these outputs, and those layers."""
        network, graph = self.network_for("fit"), self.graph
        if graph is None or not self.runs_graph:
            structure = self._structure

            def whole(*inputs: Tensor) -> list[Tensor]:
                with calling.calling(network.training):
                    outputs = flatten(self(pack(structure, inputs)))
                return [outputs[i] for i in indices]

            return whole, [None] * len(indices)
        split = graph.split()
        tails = [split.tails[i] for i in indices]
        ends = [
            graph.outputs[i] if t is None else t.source for i, t in zip(indices, tails, strict=True)
        ]

        def before(*inputs: Tensor) -> list[Tensor]:
            values = graph.begin(list(inputs))
            with calling.calling(network.training):
                for step in split.trunk:
                    step.run(values)
            return [values[id(x)] for x in ends]

        return before, tails
