"""Training and testing a classifier, step by step."""

from collections.abc import Callable, Iterable
from typing import Any

from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.nn import Module
from minidl.ops import cross_entropy
from minidl.optim import Optimizer


def train_epoch(
    model: Module,
    optimizer: Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    on_step: Callable[[float], Any] = lambda loss: None,
) -> float:
    """One pass over the batches of (inputs, class numbers); the mean loss of a sample."""
    model.train()
    total = count = 0
    for x, target in batches:
        loss = cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        value = loss.item()
        total += value * len(target)
        count += len(target)
        on_step(value)
    return total / max(count, 1)


def accuracy(model: Module, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The share of the samples whose largest logit is that of their class."""
    model.eval()
    right = count = 0
    with no_grad():
        for x, target in batches:
            right += (model(x).argmax(axis=1) == target).sum().item()
            count += len(target)
    return right / max(count, 1)
