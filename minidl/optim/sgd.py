"""Stochastic gradient descent."""

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.errors import ArgumentError
from minidl.optim.checks import check_finite, check_not_negative
from minidl.optim.optimizer import Optimizer


class SGD(Optimizer):
    """θ ← θ − lr·v, where v is the gradient, or with momentum μ its running sum.

        v ← μ·v + (1 − dampening)·g        (the first v is g)
        θ ← θ − lr·v                       (nesterov: θ − lr·(g + μ·v))

    g is the gradient, plus weight_decay·θ.  Sutskever et al. 2013, in PyTorch's form.  Without
    momentum and weight decay, a RowGradient changes only its rows, exactly as a dense one would.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.SGD([w], lr=0.5, momentum=0.5)
    >>> for _ in range(2):
    ...     w.grad = minidl.tensor([1.0, -2.0], dtype="float64")
    ...     optimizer.step()
    >>> w.numpy().round(4).tolist()
    [-0.25, 3.5]
    """

    rule = "sgd"
    counts_steps = False  # only the first step of a momentum is special

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
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        """Rates are not negative, and nesterov goes with plain momentum."""
        check_not_negative("SGD", settings, "lr", "momentum", "weight_decay")
        check_finite("SGD", settings, "dampening")
        if settings["nesterov"] and (not settings["momentum"] or settings["dampening"]):
            raise ArgumentError("SGD: nesterov needs a momentum, and no dampening")

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
