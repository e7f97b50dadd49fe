"""RMSprop (Tieleman & Hinton 2012)."""

from collections.abc import Mapping
from typing import Any

from minidl.checks import check_numbers, chosen
from minidl.optim.moments import update_average
from minidl.optim.optimizer import Optimizer, Params


class RMSprop(Optimizer):
    """The gradient divided by a running root mean square of itself.

        v ← α·v + (1 − α)·g²
        θ ← θ − lr·g / (√v + ε)

    g is the gradient, plus weight_decay·θ.  With momentum μ, the buffer b ← μ·b + g / (√v + ε)
    replaces the quotient; centered, the variance v − m² replaces the mean square v, with
    m ← α·m + (1 − α)·g.  Tieleman, Hinton 2012 (lecture 6.5); Graves 2013 (centered).  A
    RowGradient is densified.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.RMSprop([w], lr=0.1, alpha=0.75)
    >>> w.grad = minidl.tensor([100.0, -0.01], dtype="float64")
    >>> optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.8, 1.2]
    """

    counts_steps = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        """Require non-negative rates, and alpha in [0, 1]."""
        check_numbers(
            "RMSprop", 0, finite=True, **chosen(settings, "lr", "eps", "weight_decay", "momentum")
        )
        check_numbers("RMSprop", 0, 1, **chosen(settings, "alpha"))

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """v, and b and m where they are used."""
        momentum = ("momentum_buffer",) if group["momentum"] else ()
        return "square_avg", *momentum, *(("grad_avg",) if group["centered"] else ())

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """lr·g / (√v + ε), or lr·b."""
        alpha, momentum = group["alpha"], group["momentum"]
        v = state["square_avg"]
        update_average(v, alpha, gradient * gradient)
        if group["centered"]:
            m = state["grad_avg"]
            update_average(m, alpha, gradient)
            v = xp.maximum(v - m * m, 0)  # rounding may make it negative
        root = v**0.5
        root += group["eps"]
        change = gradient / root
        if momentum:
            b = state["momentum_buffer"]
            b *= momentum
            b += change
            change = b
        return group["lr"] * change
