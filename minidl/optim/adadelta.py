"""Adadelta (Zeiler 2012)."""

from collections.abc import Mapping
from typing import Any

from minidl.checks import check_numbers, chosen
from minidl.optim.moments import update_average
from minidl.optim.optimizer import Optimizer, Params


class Adadelta(Optimizer):
    """The gradient scaled by a ratio of running RMS values, in the units of the parameters.

        v ← ρ·v + (1 − ρ)·g²
        d ← √(u + ε) / √(v + ε) · g
        u ← ρ·u + (1 − ρ)·d²
        θ ← θ − lr·d

    g is the gradient, plus weight_decay·θ.  Zeiler 2012, where lr is 1.  A RowGradient is
    densified.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.Adadelta([w], lr=1.0)
    >>> w.grad = minidl.tensor([100.0, -0.01], dtype="float64")
    >>> optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.9968, 1.003]
    """

    counts_steps = False

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            rho=rho,
            eps=eps,
            weight_decay=weight_decay,
            maximize=maximize,
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        """Require non-negative rates, and rho in [0, 1]."""
        check_numbers("Adadelta", 0, finite=True, **chosen(settings, "lr", "eps", "weight_decay"))
        check_numbers("Adadelta", 0, 1, **chosen(settings, "rho"))

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The moving averages v and u."""
        return "square_avg", "acc_delta"

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """The update lr·d."""
        rho, eps = group["rho"], group["eps"]
        v, u = state["square_avg"], state["acc_delta"]
        update_average(v, rho, gradient * gradient)
        d = (u + eps) ** 0.5
        d /= (v + eps) ** 0.5
        d *= gradient
        update_average(u, rho, d * d)
        return group["lr"] * d
