"""The settings of `Sequential.compile`, and the Trainer that they configure."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minidl import nn, train
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError
from minidl.keras import losses, metrics, optimizers
from minidl.train.losses import LOSSES, Loss, named


class Compiled(NamedTuple):
    """The optimiser, loss and metrics of a compiled model."""

    optimizer: Any
    loss: str | Callable[[Any, Any], Tensor]
    metrics: list[Any]

    @property
    def squash(self) -> type[nn.Module] | None:
        """The layer whose probabilities this loss takes: Softmax, Sigmoid or none."""
        if isinstance(self.loss, str):
            return named("compile", "loss", LOSSES, self.loss).squash
        return self.loss.squash if isinstance(self.loss, Loss) else None

    def loss_of(self, network: nn.Sequential) -> Any:
        """The loss as the Trainer takes it for a network.

        A cross-entropy of probabilities is passed by name if the network ends in the Softmax or
        Sigmoid that they come from: the Trainer then computes it from the logits.
        """
        if isinstance(self.loss, str) and self.squash is None:
            return self.loss
        given = getattr(self.loss, "ignore_index", None) is not None
        if given or self.squash is None or getattr(self.loss, "from_logits", False):
            return losses.in_minidl_order(self.loss)
        name = "cross_entropy" if self.squash is nn.Softmax else "binary_crossentropy"
        if type(_last(network)) is self.squash:
            return name
        return train.loss_for(name, from_logits=False)

    def trainer(
        self, network: nn.Sequential, trained: nn.Sequential, callbacks: Sequence[train.Callback]
    ) -> train.Trainer:
        """A Trainer; the optimiser and its state are shared by all of them.

        trained    the network itself, or one of the same modules with the classes on axis 1
        """
        optimizer = self.optimizer
        clip: dict[str, Any] = {}
        if isinstance(optimizer, optimizers.Optimizer):
            clip = {"clip_norm": optimizer.global_clipnorm, "clip_value": optimizer.clipvalue}
            optimizer = optimizer.of(network)
        loss = self.loss_of(trained)
        return train.Trainer(trained, optimizer, loss, self.metrics, callbacks, **clip)


def compiled(optimizer: Any, loss: Any, given: Sequence[Any] | None) -> Compiled:
    """The arguments of `compile`, checked; names of metrics are resolved by the Trainer."""
    if isinstance(loss, str):
        named("compile", "loss", LOSSES, loss)
        loss = loss.lower()
    elif not callable(loss):
        raise ArgumentError(f"compile: a loss is a name or a function; got {loss!r:.60}")
    if isinstance(given, str):
        raise ArgumentError(f"compile: metrics are a list; got {given!r}, say [{given!r}]")
    return Compiled(optimizers.get(optimizer), loss, [metrics.get(one) for one in given or ()])


def _last(network: nn.Module) -> nn.Module:
    """The last layer, inside nested Sequentials."""
    while type(network) is nn.Sequential and len(network):
        network = network[-1]
    return network
