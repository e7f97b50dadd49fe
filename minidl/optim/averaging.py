"""Weight averaging: stochastic weight averaging (SWA) and exponential moving averages (EMA)."""

import copy
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from minidl.autograd.graph import tick
from minidl.autograd.inplace import last_write
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_instance, check_numbers
from minidl.errors import DTypeError, ShapeError, describe, iter_of, named
from minidl.nn.module import Buffer, Module
from minidl.nn.norm import _BatchNorm
from minidl.ops import asarray

Average = Callable[[Tensor, Tensor, int], Tensor]


def get_swa_avg_fn() -> Average:
    """w ← w + (θ − w) / (n + 1): the equal-weight average.  Izmailov et al. 2018.

    >>> average = optim.get_swa_avg_fn()
    >>> average(minidl.tensor(2.0), minidl.tensor(5.0), 2).item()  # of 2, 2 and 5
    3.0
    """
    return lambda averaged, current, n: averaged + (current - averaged) / (n + 1)


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """w ← decay·w + (1 − decay)·θ: the exponential moving average.  Polyak, Juditsky 1992.

    >>> optim.get_ema_avg_fn(0.75)(minidl.tensor(2.0), minidl.tensor(6.0), 2).item()
    3.0
    """
    check_numbers("get_ema_avg_fn", 0, 1, decay=decay)
    decay = float(decay)
    return lambda averaged, current, _: decay * averaged + (1 - decay) * current


class AveragedModel(Module):
    """A copy of a model whose parameters are running averages of the model's.

    avg_fn         (averaged, current, number averaged) → the new average, for each parameter;
                   get_swa_avg_fn() by default.  It is not saved.
    use_buffers    average the buffers too; otherwise they are copied from the latest model

        average = AveragedModel(model, get_ema_avg_fn(0.999))
        for …:
            optimizer.step()
            average.update_parameters(model)

    The running statistics of batch norm do not fit averaged weights: see `update_bn`.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = optim.AveragedModel(model)
    >>> for value in [1.0, 2.0, 6.0]:  # what an optimiser would do
    ...     _ = nn.init.constant_(model.weight, value)
    ...     average.update_parameters(model)
    >>> average.module.weight.tolist()
    [[3.0]]
    """

    def __init__(
        self, model: Module, avg_fn: Average | None = None, use_buffers: bool = False
    ) -> None:
        check_instance("AveragedModel", Module, model=model)
        if avg_fn is not None and not callable(avg_fn):
            raise DTypeError(f"AveragedModel: avg_fn is a function; got {describe(avg_fn)}")
        check_flags("AveragedModel", use_buffers=use_buffers)
        self.module = copy.deepcopy(model)
        self.n_averaged = Buffer(asarray(0, dtype="int64"))
        self._counted: tuple[Any, int, int] = None, 0, 0  # that array, when it was n, and n
        self.avg_fn, self.use_buffers = avg_fn or get_swa_avg_fn(), use_buffers

    def forward(self, *inputs: Any, **settings: Any) -> Any:
        """The output of the averaged model."""
        return self.module(*inputs, **settings)

    def update_parameters(self, model: Module) -> None:
        """Include the model's current weights in the average; the first call copies them.

        Raises ShapeError if its shapes differ from those of the model that was copied.
        """
        check_instance("AveragedModel.update_parameters", Module, model=model)
        parameters = _pairs("parameters", self.module.parameters(), model.parameters())
        buffers = _pairs("buffers", self.module.buffers(), model.buffers())
        n = self._number()
        with no_grad():
            for own, current in parameters:
                own[...] = self._average(own, current, n)
            for own, current in buffers:
                own[...] = self._average(own, current, n) if self.use_buffers else current
            self.n_averaged += 1
        self._counted = self.n_averaged.data, tick(), n + 1

    def _number(self) -> int:
        """How many were averaged; read only if it was written by others: a GPU would be late."""
        array, then, n = self._counted
        if array is self.n_averaged.data and not last_write(array, then):
            return n
        return int(self.n_averaged)

    def _average(self, own: Tensor, current: Tensor, n: int) -> Tensor:
        current = current.detach()
        return self.avg_fn(own.detach(), current, n) if n else current


def _pairs(
    what: str, own: Iterable[Tensor], current: Iterable[Tensor]
) -> list[tuple[Tensor, Tensor]]:
    """The tensors of both models in pairs."""
    averaged, latest = list(own), list(current)
    needs, given = ([x.shape for x in tensors] for tensors in (averaged, latest))
    if needs != given:
        raise ShapeError(f"AveragedModel: {what} of shapes {given}; the average has {needs}")
    return list(zip(averaged, latest, strict=True))


@named
@no_grad()
def update_bn(loader: Iterable[Any], model: Module) -> None:
    """Recompute the running statistics of a model's batch norms as means over a loader's batches.

    loader    yields inputs of the model, or tuples whose first element is the input

    >>> norm = nn.BatchNorm1d(1)
    >>> optim.update_bn([minidl.tensor([[1.0], [3.0]]), minidl.tensor([[5.0], [7.0]])], norm)
    >>> norm.running_mean.tolist()
    [4.0]
    """
    check_instance("update_bn", Module, model=model)
    norms = {m: m.momentum for m in model.modules() if isinstance(m, _BatchNorm)}
    if not norms:
        return
    batches = iter_of("update_bn", "a loader of batches", loader)
    first = next(batches, None)
    if first is None:
        raise ShapeError("update_bn: the loader gave no batches")
    modes = {module: module.training for module in model.modules()}
    try:
        model.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches
        for batch in chain([first], batches):
            model(batch[0] if isinstance(batch, list | tuple) else batch)
    finally:
        for norm, momentum in norms.items():
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training
