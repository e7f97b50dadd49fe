"""SGD: stochastic gradient descent, with momentum and Nesterov momentum."""

from collections.abc import Mapping
from typing import Any

from minidl.checks import check_numbers, chosen
from minidl.errors import ArgumentError
from minidl.optim.optimizer import Optimizer, Params


class SGD(Optimizer):
    """θ ← θ − lr·v, where v is the gradient, or with momentum μ its decayed sum.

        v ← μ·v + (1 − dampening)·g        (v₁ = g)
        θ ← θ − lr·v                       (nesterov: θ − lr·(g + μ·v))

    g is the gradient, plus weight_decay·θ.  Sutskever et al. 2013, in PyTorch's form.  Without
    momentum and weight decay, a RowGradient updates only its rows, with the same result as dense.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.SGD([w], lr=0.5, momentum=0.5)
    >>> for _ in range(2):
    ...     w.grad = minidl.tensor([1.0, -2.0], dtype="float64")
    ...     optimizer.step()
    >>> w.numpy().round(4).tolist()
    [-0.25, 3.5]
    """

    rule = "sgd"
    counts_steps = False  # only the first step with a momentum buffer is special

    def __init__(
        self,
        params: Params,
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
        """Require non-negative rates, and momentum without dampening for nesterov."""
        check_numbers("SGD", 0, finite=True, **chosen(settings, "lr", "momentum", "weight_decay"))
        check_numbers("SGD", finite=True, **chosen(settings, "dampening"))
        if settings["nesterov"] and (not settings["momentum"] or settings["dampening"]):
            raise ArgumentError("SGD: nesterov needs a momentum, and no dampening")

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The momentum buffer v, if there is a momentum."""
        return ("momentum_buffer",) if group["momentum"] else ()

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
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
        """Without momentum and weight decay, which would move rows without a gradient."""
        return not group["momentum"] and not group["weight_decay"]
