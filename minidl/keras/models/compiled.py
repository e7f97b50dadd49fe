"""The settings of `compile`: an optimiser, and losses and metrics for each output."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from minidl import nn, train
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError
from minidl.keras import losses, metrics, optimizers
from minidl.keras.structure import flatten
from minidl.train.losses import LOSSES, Loss, named
from minidl.train.metrics import Metric


class OutputSettings(NamedTuple):
    """What one output is trained with.

    position    which of the model's outputs it is
    loss        a name, or a function (y_true, y_pred) → Tensor
    weight      of its loss in the total; None: 1
    metrics     Metrics and names
    """

    position: int
    name: str
    loss: str | Callable[[Any, Any], Tensor]
    weight: float | None
    metrics: list[Any]

    @property
    def squash(self) -> type[nn.Module] | None:
        """The layer whose probabilities this loss takes: Softmax, Sigmoid or none."""
        if isinstance(self.loss, str):
            return named("compile", "loss", LOSSES, self.loss).squash
        return self.loss.squash if isinstance(self.loss, Loss) else None

    def loss_after(self, ending: nn.Module) -> Any:
        """The loss as `minidl.train` takes it, for an output that these modules compute.

        A cross-entropy of probabilities is passed by name if they end in the Softmax or Sigmoid
        that the probabilities come from: it is then computed from the logits.
        """
        if isinstance(self.loss, str) and self.squash is None:
            return self.loss
        given = getattr(self.loss, "ignore_index", None) is not None
        given = given or losses.has_own_formula(self.loss)
        if given or self.squash is None or getattr(self.loss, "from_logits", False):
            return losses.in_minidl_order(self.loss)
        name = "cross_entropy" if self.squash is nn.Softmax else "binary_crossentropy"
        if type(_last(ending)) is self.squash:
            return name
        return train.loss_for(name, from_logits=False)


class Compiled(NamedTuple):
    """The arguments of `compile`, checked as far as they can be without the model's outputs."""

    optimizer: Any
    loss: Any
    loss_weights: Any
    metrics: Any

    def for_outputs(self, names: Sequence[str]) -> list[OutputSettings]:
        """The settings of each output that has a loss, for outputs of these names."""
        losses_ = _each("loss", self.loss, names, shared=True)
        weights = _each("loss_weights", self.loss_weights, names)
        given = _each("metrics", self.metrics, names)
        settings = []
        for i, name in enumerate(names):
            own = [metrics.get(one) for one in _listed(given[i])]
            if losses_[i] is not None:
                weight = None if weights[i] is None else float(weights[i])
                settings.append(OutputSettings(i, name, losses_[i], weight, own))
            elif own:
                raise ArgumentError(f"compile: the output {name!r} has metrics, but no loss")
        if not settings:
            raise ArgumentError("compile: needs a loss for at least one output")
        return settings


def compiled(
    optimizer: Any, loss: Any, given: Any, weights: Any = None, scaled: bool = False
) -> Compiled:
    """The arguments of `compile`, checked; names of metrics are resolved by the Trainer.

    scaled    whether the optimiser is put into a LossScaleOptimizer, unless it is one
    """
    optimizer = optimizers.get(optimizer)
    if scaled and not isinstance(optimizer, optimizers.LossScaleOptimizer):
        optimizer = optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
    if isinstance(loss, list | tuple | dict) and flatten(loss):
        parts = loss.items() if isinstance(loss, dict) else enumerate(loss)
        checked = {key: None if one is None else _checked_loss(one) for key, one in parts}
        loss = checked if isinstance(loss, dict) else list(checked.values())
    else:
        loss = _checked_loss(loss)
    if isinstance(given, str):
        raise ArgumentError(f"compile: metrics are a list; got {given!r}, say [{given!r}]")
    for one in flatten(given if given is not None else []):
        if one is not None:
            metrics.get(one)
    return Compiled(optimizer, loss, weights, given)


def _checked_loss(loss: Any) -> Any:
    if isinstance(loss, str):
        named("compile", "loss", LOSSES, loss)
        return loss.lower()
    if not callable(loss):
        raise ArgumentError(f"compile: a loss is a name or a function; got {loss!r:.60}")
    return loss


def _each(what: str, given: Any, names: Sequence[str], shared: bool = False) -> list[Any]:
    """A setting for each output: of a dict by name, of a list by position, else one for all."""
    if given is None:
        return [None] * len(names)
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in names]
        if unknown:
            raise ArgumentError(
                f"compile: {what} for {unknown}, but the outputs are called {list(names)}"
            )
        return [given.get(name) for name in names]
    if len(names) == 1:
        one = isinstance(given, list | tuple) and what != "metrics"
        if one and len(given) != 1:
            raise ArgumentError(f"compile: {len(given)} {what} for one output")
        return [given[0] if one else given]
    if isinstance(given, list | tuple) and len(given) == len(names):
        return list(given)
    if isinstance(given, list | tuple) or not shared:
        raise ArgumentError(
            f"compile: {what} of several outputs are a list of {len(names)}, or a dict for "
            f"{list(names)}; got {given!r:.80}"
        )
    return [given] * len(names)


def _listed(given: Any) -> list[Any]:
    """The metrics of one output: one, a list, or none."""
    if isinstance(given, str | Metric):
        return [given]
    return [one for one in flatten(given if given is not None else []) if one is not None]


def _last(network: nn.Module) -> nn.Module:
    """The last layer, inside nested Sequentials."""
    while type(network) is nn.Sequential and len(network):
        network = network[-1]
    return network
