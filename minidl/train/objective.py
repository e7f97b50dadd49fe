"""A model and its loss, joined: who takes the softmax."""

from typing import Any, NamedTuple

import numpy as np

from minidl import nn, ops
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.train.losses import LOSSES, CrossEntropy, Loss, loss_for, named


class Objective(NamedTuple):
    """What is trained: `loss(body(inputs), target)`, where the model is `head(body(inputs))`.

    head    the model's last layer, Softmax or Sigmoid, where the loss takes its place; or None
    """

    body: Any
    loss: Any
    head: nn.Module | None

    @property
    def from_logits(self) -> bool:
        """Whether the model itself gives logits."""
        return self.head is None and _squash_of_logits(self.loss) is not None

    def prediction(self, output: Tensor) -> Tensor:
        """What the model gives, where its body gives this."""
        with no_grad():
            return output.detach() if self.head is None else self.head(output.detach())

    def classes(self, output: Any, target: Any) -> int | None:
        """How many classes the model tells apart, if its targets are class numbers."""
        if not isinstance(self.loss, CrossEntropy) and not _takes_logits(self.loss):
            return None
        ndim = getattr(output, "ndim", 0)
        return output.shape[1] if ndim > 1 and getattr(target, "ndim", ndim) < ndim else None

    def check(self, output: Any, loss: Any) -> None:
        """Raise if the first batch shows that the loss is not what the model needs."""
        if not isinstance(loss, Tensor) or loss.size != 1:
            raise ShapeError(
                f"Trainer: the loss of a batch is one number, a Tensor; got {describe(loss)}"
            )
        if not isinstance(output, Tensor):
            return
        if self.head is not None and type(self.head) is nn.Softmax:
            _check_axis(self.head, output)
        elif _takes_logits(self.loss) and _are_distributions(output):
            raise ArgumentError(
                f"Trainer: {_name(self.loss)} needs logits, but the model gives probabilities: "
                "each row of its first batch sums to 1. Leave out the last softmax, or say "
                'loss="cross_entropy" with a model that ends in nn.Softmax'
            )
        elif self.head is None and isinstance(self.loss, Loss) and self.loss.squash:
            low, high = float(output.min()), float(output.max())
            if not self.loss.from_logits and (low < 0 or high > 1):
                raise ArgumentError(
                    f"Trainer: {self.loss!r} needs probabilities, but the model gives numbers "
                    f"from {low:.4g} to {high:.4g}; say from_logits=True"
                )


def join(model: nn.Module, loss: Any) -> Objective:
    """The objective of a model and a loss, which is a name or a function.

    By name, a cross-entropy takes what the model gives: probabilities if its last layer is a
    Softmax (a Sigmoid for binary ones), and else logits.  The last layer of a Sequential is then
    left out in training, as the logarithm of a softmax is exact only in one piece.
    """
    last = _last_layer(model)
    if isinstance(loss, str):
        squash = named("Trainer", "loss", LOSSES, loss).squash
        if squash is None:
            return Objective(model, loss_for(loss), None)
        if type(last) is not squash:
            return Objective(model, loss_for(loss, from_logits=True), None)
        if _is_plain(model) and not last._hooks:
            body = _without_last(model)
            return Objective(body, loss_for(loss, from_logits=True), last)
        return Objective(model, loss_for(loss, from_logits=False), None)
    if not callable(loss):
        raise DTypeError(f"Trainer: a loss is a function or a name; got {describe(loss)}")
    squash = _squash_of_logits(loss)
    if squash is not None and type(last) is squash:
        name = "cross_entropy" if squash is nn.Softmax else "binary_crossentropy"
        raise ArgumentError(
            f"Trainer: {_name(loss)} needs logits, and the model ends in {last!r}, which would be "
            f'applied twice. Leave that layer out, or say loss="{name}", which knows'
        )
    return Objective(model, loss, None)


def _without_last(model: nn.Sequential) -> nn.Module:
    """The model up to its last layer, or to that of its last part."""
    *rest, last = model
    return nn.Sequential(*rest, *([_without_last(last)] if _is_plain(last) else []))


def _last_layer(model: nn.Module) -> nn.Module:
    """What computes the output, as far as that can be seen."""
    while _is_plain(model) and len(model):
        model = model[-1]
    return model


def _is_plain(model: nn.Module) -> bool:
    """Whether it only runs one part after the other; hooks would want to see it run."""
    plain = isinstance(model, nn.Sequential) and type(model).forward is nn.Sequential.forward
    return plain and "forward" not in vars(model) and not model._hooks


def _squash_of_logits(loss: Any) -> type[nn.Module] | None:
    """The layer that must not come before this loss."""
    if isinstance(loss, nn.CrossEntropyLoss) or loss is ops.cross_entropy:
        return nn.Softmax
    if isinstance(loss, nn.BCEWithLogitsLoss) or loss is ops.binary_cross_entropy_with_logits:
        return nn.Sigmoid
    return loss.squash if isinstance(loss, Loss) and loss.from_logits else None


def _takes_logits(loss: Any) -> bool:
    """Whether it is a cross-entropy of several classes that takes the softmax itself."""
    return _squash_of_logits(loss) is nn.Softmax


def _are_distributions(output: Tensor) -> bool:
    """Whether every row sums to 1, and nothing is below 0: such logits do not occur."""
    if output.ndim < 2 or output.shape[1] < 2 or not output.size:
        return False
    values = output.numpy()
    return bool(values.min() >= 0 and np.allclose(values.sum(axis=1), 1, rtol=0, atol=1e-3))


def _check_axis(head: nn.Softmax, output: Tensor) -> None:
    """A cross-entropy has its classes on axis 1, and so must the softmax."""
    if head.axis(output) % max(output.ndim, 1) != min(1, output.ndim - 1):
        raise ShapeError(
            f"Trainer: a cross-entropy of {output.shape} has its classes on axis 1, but the model "
            f"ends in {head!r}; say nn.Softmax(dim=1)"
        )


def _name(loss: Any) -> str:
    """How a loss is called in messages."""
    return getattr(loss, "__name__", None) or type(loss).__name__
