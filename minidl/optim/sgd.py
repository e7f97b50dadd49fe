"""Stochastic gradient descent."""

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.errors import ArgumentError
from minidl.optim.optimizer import Optimizer


class SGD(Optimizer):
    """θ ← θ − lr·v, where v is the gradient, or with momentum μ its running sum.

        v ← μ·v + (1 − dampening)·g        (the first v is g)
        θ ← θ − lr·v                       (nesterov: θ − lr·(g + μ·v))

    g is the gradient, plus weight_decay·θ.  Sutskever et al. 2013, in PyTorch's form.  Without
    momentum and weight decay, a RowGradient changes only its rows, exactly as a dense one would.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        check_not_negative("SGD", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError("SGD: nesterov needs a momentum, and no dampening")
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """v, if there is a momentum."""
        return ("momentum_buffer",) if group["momentum"] else ()

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: Mapping[str, Any]
    ) -> Any:
        """lr·v."""
        momentum = group["momentum"]
        if not momentum:
            return group["lr"] * gradient
        v = state["momentum_buffer"]
        v *= momentum
        v += gradient if step == 1 else (1 - group["dampening"]) * gradient
        return group["lr"] * (gradient + momentum * v if group["nesterov"] else v)

    def takes_rows(self, group: Mapping[str, Any]) -> bool:
        """Rows that have no gradient stay as they are, unless something moves them."""
        return not group["momentum"] and not group["weight_decay"]


def check_not_negative(name: str, **settings: float) -> None:
    """Raise for the first setting below 0, or NaN."""
    for setting, value in settings.items():
        if not value >= 0:
            raise ArgumentError(f"{name}: {setting} must not be negative; got {value}")
