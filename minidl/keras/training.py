"""What `Sequential.compile` keeps, and the Trainer that is made of it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minidl import nn, train
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError
from minidl.keras import metrics, optimizers
from minidl.train.losses import LOSSES, Loss, named


class Compiled(NamedTuple):
    """How a model is to be trained."""

    optimizer: Any
    loss: str | Callable[[Any, Any], Tensor]
    metrics: list[Any]

    @property
    def squash(self) -> type[nn.Module] | None:
        """The layer that makes probabilities for this loss: Softmax, Sigmoid or none."""
        if isinstance(self.loss, str):
            return named("compile", "loss", LOSSES, self.loss).squash
        return self.loss.squash if isinstance(self.loss, Loss) else None

    def loss_of(self, network: nn.Sequential) -> Any:
        """The loss, as the Trainer takes it for a network.

        A cross-entropy of probabilities is its name if they come out of a last layer that it can
        take the place of.
        """
        if self.squash is None or getattr(self.loss, "from_logits", False):
            return self.loss
        name = "cross_entropy" if self.squash is nn.Softmax else "binary_crossentropy"
        if type(_last(network)) is self.squash:
            return name
        return train.loss_for(name, from_logits=False)

    def trainer(
        self, network: nn.Sequential, trained: nn.Sequential, callbacks: Sequence[train.Callback]
    ) -> train.Trainer:
        """A Trainer, with the optimiser that is kept from one to the next.

        trained    the network itself, or one of the same modules with the classes on axis 1
        """
        optimizer, clip = self.optimizer, {}
        if isinstance(optimizer, optimizers.Optimizer):
            clip = {"clip_norm": optimizer.global_clipnorm, "clip_value": optimizer.clipvalue}
            optimizer = optimizer.of(network)
        loss = self.loss_of(trained)
        return train.Trainer(trained, optimizer, loss, self.metrics, callbacks, **clip)


def compiled(optimizer: Any, loss: Any, given: Sequence[Any] | None) -> Compiled:
    """What `compile` was told, checked; "accuracy" and such are left to the Trainer."""
    if isinstance(loss, str):
        named("compile", "loss", LOSSES, loss)
        loss = loss.lower()
    elif not callable(loss):
        raise ArgumentError(f"compile: a loss is a name or a function; got {loss!r:.60}")
    if isinstance(given, str):
        raise ArgumentError(f"compile: metrics are a list; got {given!r}, say [{given!r}]")
    return Compiled(optimizers.get(optimizer), loss, [metrics.get(one) for one in given or ()])


def _last(network: nn.Module) -> nn.Module:
    """What computes the result."""
    while type(network) is nn.Sequential and len(network):
        network = network[-1]
    return network
