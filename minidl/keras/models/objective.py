"""The training objective of a model with any number of outputs, which may have masks.

The total loss is Σ wᵢ·lossᵢ(outputᵢ, targetᵢ).  Steps that a mask leaves out count in no loss and
in no metric.  The last layers of each output are joined to its loss, so that a softmax is computed
with its logarithm.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minidl import nn, ops
from minidl.autograd.tensor import Tensor
from minidl.errors import ShapeError
from minidl.keras.data_format import ChannelsFirst, to_channels_last
from minidl.keras.graph.graph import Chain
from minidl.keras.masking import mask_of
from minidl.keras.models.compiled import OutputSettings
from minidl.train.data_adapter import batch_length
from minidl.train.metrics import Mean, Metric
from minidl.train.objective import Objective, join
from minidl.train.precision import widened


class Ending(NamedTuple):
    """One output of a model in training.

    objective        of its last layers: from the value that goes into them to the loss
    chain            those layers, if they are a chain of the graph
    classes_first    whether the classes of an output with more than two axes are on axis 1
    """

    name: str
    objective: Objective
    weight: float | None
    chain: Chain | None
    classes_first: bool

    def value(self, x: Tensor) -> tuple[Tensor, Any]:
        """The output, or its logits, and its mask; given what goes into the last layers.

        Losses and metrics compute in float32, also after layers in mixed precision.
        """
        mask = mask_of(x)
        if self.chain is None:
            return widened(self.objective.body(x)), mask
        with self.chain.passing(mask):
            return widened(self.objective.body(x)), self.chain.mask(mask)


def ending_of(settings: OutputSettings, chain: Chain | None, ndim: int) -> Ending:
    """The last layers of an output joined to its loss, which needs the classes on axis 1."""
    classes_first = settings.squash is not None and ndim > 2
    if chain is not None:
        network = chain.ending("first" if classes_first else "last")
    else:
        network = nn.Sequential(*([ChannelsFirst()] if classes_first else []))
    objective = join(network, settings.loss_after(network))
    return Ending(settings.name, objective, settings.weight, chain, classes_first)


class Outputs:
    """The outputs of a batch.

    values         of each output that has a loss, or their logits
    masks          of each, or None
    pairs          (value, target) of each, of the steps that count; once there are targets
    losses         the loss of each
    predictions    (prediction, target) of each, for metrics
    """

    def __init__(self, values: list[Tensor], masks: list[Any]) -> None:
        self.values, self.masks = values, masks
        self.pairs: list[tuple[Tensor, Tensor]] = []
        self.losses: list[Tensor] = []
        self.predictions: list[Any] = []


class JointObjective:
    """The objective as a Trainer uses it, like `minidl.train.objective.Objective`.

    run    maps the inputs to what goes into the last layers of each output
    """

    head = None
    from_logits = False

    def __init__(self, run: Callable[..., list[Tensor]], endings: Sequence[Ending]) -> None:
        self.run, self.endings = run, list(endings)

    def body(self, *inputs: Any) -> Outputs:
        """The outputs of a batch."""
        pairs = [e.value(x) for e, x in zip(self.endings, self.run(*inputs), strict=True)]
        return Outputs([value for value, _ in pairs], [mask for _, mask in pairs])

    def loss(self, outputs: Outputs, target: Any) -> Tensor:
        """The total loss."""
        return self._total(outputs, target, lambda objective, *pair: objective.loss(*pair))

    def checked(self, outputs: Outputs, target: Any) -> Tensor:
        """The total loss of the first batch."""
        return self._total(outputs, target, lambda objective, *pair: objective.checked(*pair))

    def _total(self, outputs: Outputs, target: Any, loss_of: Callable[..., Tensor]) -> Tensor:
        targets = target if isinstance(target, tuple) else (target,)
        each = zip(self.endings, outputs.values, targets, outputs.masks, strict=True)
        outputs.pairs = [_counted(e, value, y, mask) for e, value, y, mask in each]
        outputs.losses, total = [], None
        for ending, (value, y) in zip(self.endings, outputs.pairs, strict=True):
            # A batch that is all padding has no mean: its loss is 0, as in Keras.
            loss = loss_of(ending.objective, value, y) if len(value) else ops.sum(value)
            outputs.losses.append(loss)
            weighted = loss if ending.weight is None else loss * ending.weight
            total = weighted if total is None else total + weighted
        assert total is not None
        return total

    def prediction(self, outputs: Outputs) -> Outputs:
        """The same outputs; with predictions instead of logits, for metrics."""
        outputs.predictions = [
            e.objective.counted(e.objective.prediction(value), target)
            for e, (value, target) in zip(self.endings, outputs.pairs, strict=True)
        ]
        return outputs

    @property
    def ignored(self) -> int | None:
        """The label that the loss of a single output leaves out."""
        return self.endings[0].objective.ignored if len(self.endings) == 1 else None

    def weight_of(self, inputs: Sequence[Any], outputs: Outputs, target: Any) -> float:
        """What the mean of the loss is over: samples, or the labels that count."""
        if len(self.endings) == 1:
            return self.endings[0].objective.weight_of(inputs, outputs.values[0], target)
        return batch_length(inputs[0])

    def counted(self, outputs: Outputs, target: Any) -> tuple[Outputs, Any]:
        """All: each metric leaves out what its output's loss does."""
        return outputs, target

    def classes(self, outputs: Outputs, target: Any) -> int | None:
        """The number of classes of a single output, if the targets are class labels."""
        if len(self.endings) > 1:
            return None
        return self.endings[0].objective.classes(outputs.values[0], target)

    def check(self, outputs: Outputs, loss: Any) -> None:
        """Raise if the first batch shows that a loss does not fit its output."""
        for ending, (value, _), own in zip(
            self.endings, outputs.pairs, outputs.losses, strict=True
        ):
            if len(value):
                ending.objective.check(value, own)


def _counted(ending: Ending, value: Tensor, target: Tensor, mask: Any) -> tuple[Tensor, Tensor]:
    """The value and the target of the steps that the mask says are there."""
    if mask is None:
        return value, target
    if ending.classes_first and value.ndim > 2:
        value = to_channels_last(value)
        target = to_channels_last(target) if target.ndim == value.ndim else target
    if value.shape[: mask.ndim] != mask.shape or target.shape[: mask.ndim] != mask.shape:
        raise ShapeError(
            f"fit: the output {ending.name!r} has a mask {mask.shape}, but is {value.shape} with "
            f"targets {target.shape}; a loss for each step needs (N, T, …)"
        )
    return value[mask], target[mask]


class OutputLoss(Mean):
    """The loss of one output, as a metric: out_a_loss."""

    higher_is_better = False

    def __init__(self, name: str, index: int) -> None:
        super().__init__()
        self.name, self.index = f"{name}_loss", index

    def update(self, outputs: Any, target: Any) -> None:  # type: ignore[override]
        """Add the loss of a batch."""
        super().update(outputs.losses[self.index].detach(), outputs.values[self.index].shape[0])


class OutputMetric(Metric):
    """A metric of one output: out_a_accuracy, or of the only one: accuracy."""

    def __init__(self, metric: Metric, index: int, name: str | None) -> None:
        self.metric, self.index = metric, index
        self.name = metric.name if name is None else f"{name}_{metric.name}"
        self.higher_is_better = metric.higher_is_better
        super().__init__()

    def reset(self) -> None:
        """Discard all samples."""
        self.metric.reset()

    def update(self, outputs: Outputs, target: Any) -> None:
        """Add the samples of a batch."""
        prediction, counted = outputs.predictions[self.index]
        if len(prediction):
            self.metric.update(prediction, counted)

    def compute(self) -> Any:
        """The value over all samples."""
        return self.metric.compute()
