"""Objective: a model joined to its loss, with a final softmax or sigmoid fused into the loss."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from minidl import nn, ops
from minidl.autograd.host_copies import remember
from minidl.autograd.mode import Observer, no_grad, observed_by
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.ops import asarray
from minidl.train.carried_state import detached
from minidl.train.data_adapter import batch_length
from minidl.train.losses import LOSSES, CrossEntropy, Loss, loss_for, named
from minidl.train.precision import widened


class Objective(NamedTuple):
    """The training objective `loss(body(inputs), target)`, for the model `head(body(inputs))`.

    head    the model's final Softmax or Sigmoid, if the loss includes it; or None
    """

    body: nn.Module
    loss: Callable[[Any, Any], Tensor]
    head: nn.Module | None

    @property
    def from_logits(self) -> bool:
        """Whether the model outputs logits."""
        return self.head is None and _included_layer(self.loss) is not None

    def prediction(self, output: Any) -> Any:
        """The model's output, given the output of its body; float16 as float32."""
        with no_grad():
            output = widened(detached(output))
            return output if self.head is None else self.head(output)

    @property
    def ignored(self) -> int | None:
        """The label that the loss leaves out, if it leaves out one."""
        if self.loss is ops.cross_entropy or self.loss is ops.nll_loss:
            return -100
        return getattr(self.loss, "ignore_index", None)

    def weight_of(self, inputs: Sequence[Any], output: Any, target: Any) -> float:
        """What the mean of the loss is over: samples, or labels, by their weight if they have one.

        A sequence has a label for each step, and those of one batch may be longer than others'.
        """
        weight = getattr(self.loss, "weight", None) if _takes_labels(self.loss) else None
        several = getattr(target, "ndim", 0) > 1 and self.classes(output, target) is not None
        counts = self.ignored is not None or weight is not None or several
        if not counts or not _are_labels(target):
            return batch_length(inputs[0])
        labels = target.numpy()
        counted = labels if self.ignored is None else labels[labels != self.ignored]
        if weight is None:
            return counted.size
        factors = weight.numpy()
        remember(weight, factors)  # they are the same in every batch
        return float(np.take(factors, counted).sum(dtype=np.float64))

    def counted(self, prediction: Any, target: Any) -> tuple[Any, Any]:
        """The prediction and the target without the labels that the loss leaves out."""
        if self.ignored is None or not _are_labels(target):
            return prediction, target
        labels = target.numpy()
        keep = labels != self.ignored
        if keep.all():
            return prediction, target
        if labels.shape == (*prediction.shape[:1], 1) and prediction.ndim == 2:
            keep = keep[:, 0]
        elif prediction.ndim > 2:  # (N, C, …) with labels (N, …)
            prediction = ops.moveaxis(prediction, 1, -1)
        return _kept(prediction, keep), _kept(target, keep)

    def _check_output(self, output: Any) -> None:
        """Raise if the model gives several outputs, and the loss, one of minidl's, takes one."""
        place = str(getattr(self.loss, "__module__", ""))
        takes_one = isinstance(self.loss, Loss) or place.startswith(("minidl.nn.", "minidl.ops."))
        if takes_one and isinstance(output, tuple | list):
            raise DTypeError(
                f"Trainer: {_name(self.loss)} needs one tensor, but the model gives a "
                f"{type(output).__name__} of {len(output)}; let it return one, or, if it returns "
                "(output, state), say carry_state=True"
            )

    def checked(self, output: Any, target: Any) -> Tensor:
        """The loss of the first batch; a function of the user's must not take an outer product."""
        self._check_output(output)
        shapes = getattr(output, "shape", ()), getattr(target, "shape", ())
        short, long = sorted(shapes, key=len)
        if isinstance(self.loss, str | Loss | nn.Module) or long != (*short, 1) or long[:1] == (1,):
            return self.loss(output, target)
        with observed_by(_NoOuterProduct(short, long)):
            return self.loss(output, target)

    def classes(self, output: Any, target: Any) -> int | None:
        """The number of classes, if the targets are class labels."""
        nll = isinstance(self.loss, nn.NLLLoss) or self.loss is ops.nll_loss
        if not nll and not isinstance(self.loss, CrossEntropy) and not _takes_logits(self.loss):
            return None
        ndim = getattr(output, "ndim", 0)
        return output.shape[1] if ndim > 1 and getattr(target, "ndim", ndim) < ndim else None

    def check(self, output: Any, loss: Any) -> None:
        """Raise if the first batch shows that the loss does not fit the model."""
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


class _NoOuterProduct(Observer):
    """Refuses an operation that broadcasts (N, 1) with (N,) to (N, N)."""

    def __init__(self, short: tuple[int, ...], long: tuple[int, ...]) -> None:
        self.pair, self.outer = {short, long}, (*short, *short[-1:])

    def ran(self, operation: Any, inputs: Any, outputs: list[Any], node: Any) -> None:
        """Check the shapes of the inputs and of the output."""
        shapes = {tuple(getattr(x, "shape", ())) for x in inputs}
        if shapes >= self.pair and any(tuple(y.shape) == self.outer for y in outputs):
            short, long = sorted(self.pair, key=len)
            raise ShapeError(
                f"Trainer: in the loss, {operation.__name__} of {long} and {short} is "
                f"{self.outer}: every prediction with every target; reshape one of them"
            )


def join(model: nn.Module, loss: Any) -> Objective:
    """The objective of a model and a loss, which is a name or a function.

    By name, a cross-entropy adapts to the model's output: probabilities if its last layer is a
    Softmax (a Sigmoid for binary ones), otherwise logits.  That layer of a Sequential is then
    skipped in training, since log-softmax is numerically stable only as one operation.
    """
    last = _last_layer(model)
    if isinstance(loss, str):
        squash = named("Trainer", "loss", LOSSES, loss).squash
        if squash is None:
            return Objective(model, loss_for(loss), None)
        if type(last) is not squash:
            return Objective(model, loss_for(loss, from_logits=True), None)
        if _is_plain_sequential(model) and not last._hooks:
            body = _without_last(model)
            return Objective(body, loss_for(loss, from_logits=True), last)
        return Objective(model, loss_for(loss, from_logits=False), None)
    if not callable(loss):
        raise DTypeError(f"Trainer: a loss is a function or a name; got {describe(loss)}")
    squash = _included_layer(loss)
    if squash is not None and type(last) is squash:
        name = "cross_entropy" if squash is nn.Softmax else "binary_crossentropy"
        raise ArgumentError(
            f"Trainer: {_name(loss)} needs logits, and the model ends in {last!r}, which would be "
            f'applied twice. Leave that layer out, or say loss="{name}", which knows'
        )
    return Objective(model, loss, None)


def _without_last(model: nn.Sequential) -> nn.Module:
    """The model without its last layer, also if that is nested."""
    *rest, last = model
    return nn.Sequential(*rest, *([_without_last(last)] if _is_plain_sequential(last) else []))


def _last_layer(model: nn.Module) -> nn.Module:
    """The layer that computes the output, looking into plain Sequentials only."""
    while _is_plain_sequential(model) and len(model):
        model = model[-1]
    return model


def _is_plain_sequential(model: nn.Module) -> TypeGuard[nn.Sequential]:
    """Whether it is a Sequential with the original forward and without hooks."""
    plain = isinstance(model, nn.Sequential) and type(model).forward is nn.Sequential.forward
    return plain and "forward" not in vars(model) and not model._hooks


def _included_layer(loss: Any) -> type[nn.Module] | None:
    """The layer that a loss on logits includes, and that must not precede it."""
    if isinstance(loss, nn.CrossEntropyLoss) or loss is ops.cross_entropy:
        return nn.Softmax
    if isinstance(loss, nn.BCEWithLogitsLoss) or loss is ops.binary_cross_entropy_with_logits:
        return nn.Sigmoid
    return loss.squash if isinstance(loss, Loss) and loss.from_logits else None


def _takes_logits(loss: Any) -> bool:
    """Whether it is a multi-class cross-entropy on logits."""
    return _included_layer(loss) is nn.Softmax


def _kept(x: Tensor, keep: np.ndarray) -> Tensor:
    """The elements of x where the mask holds: on a GPU by their indices, which are known here."""
    kept = x[asarray(keep, device="cpu") if x.device == "cpu" else tuple(np.nonzero(keep))]
    if x.dtype.kind in "iu" and x.device != "cpu":
        remember(kept, x.numpy()[keep])
    return kept


def _takes_labels(loss: Any) -> bool:
    return isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss)


def _are_labels(target: Any) -> bool:
    return isinstance(target, Tensor) and target.dtype.kind in "iu"


def _are_distributions(output: Tensor) -> bool:
    """Whether rows are non-negative and sum to 1, which logits practically never do."""
    if output.ndim < 2 or output.shape[1] < 2 or not output.size:
        return False
    values = output.numpy()
    return bool(values.min() >= 0 and np.allclose(values.sum(axis=1), 1, rtol=0, atol=1e-3))


def _check_axis(head: nn.Softmax, output: Tensor) -> None:
    """Raise unless the softmax is over axis 1, the class axis of a cross-entropy."""
    if head.axis(output) % max(output.ndim, 1) != min(1, output.ndim - 1):
        raise ShapeError(
            f"Trainer: a cross-entropy of {output.shape} has its classes on axis 1, but the model "
            f"ends in {head!r}; say nn.Softmax(dim=1)"
        )


def _name(loss: Any) -> str:
    """The name of a loss, for error messages."""
    return getattr(loss, "__name__", None) or type(loss).__name__
