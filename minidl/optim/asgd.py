"""ASGD: averaged stochastic gradient descent (Polyak & Juditsky 1992)."""

from collections.abc import Mapping
from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.checks import check_numbers, chosen
from minidl.optim.optimizer import Optimizer, Params


class ASGD(Optimizer):
    """Stochastic gradient descent with an average of its iterates.

        θ ← θ − η·(g + λ·θ)                λ: lambd
        a ← a + μ·(θ − a)
        η ← lr / (1 + λ·lr·t)^α            μ ← 1 / max(1, t − t₀)

    Initially η = lr and μ = 1: up to step t₀ + 1 the average a is θ itself.  g is the gradient,
    plus weight_decay·θ.  The model keeps θ; a is `optimizer.state[p]["ax"]`.  Polyak,
    Juditsky 1992; Bottou 2012 (section 2.3).  A RowGradient is densified.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.ASGD([w], lr=0.5, t0=0, lambd=0)
    >>> for _ in range(2):
    ...     w.grad = minidl.tensor([1.0, -2.0], dtype="float64")
    ...     optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.0, 3.0]
    """

    numbers = ("eta", "mu")  # state, since lr may change from step to step

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            lambd=lambd,
            alpha=alpha,
            t0=t0,
            weight_decay=weight_decay,
            maximize=maximize,
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        """Require non-negative rates."""
        check_numbers("ASGD", 0, finite=True, **chosen(settings, "lr", "lambd", "weight_decay"))
        check_numbers("ASGD", finite=True, **chosen(settings, "alpha", "t0"))

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The average a."""
        return ("ax",)

    def initial(self, group: Mapping[str, Any], name: str) -> float:
        """η₀ = lr and μ₀ = 1, so the initial a is never read."""
        return {"eta": float(group["lr"]), "mu": 1.0}.get(name, 0.0)

    def decay(self, group: Mapping[str, Any]) -> float:
        """λ and weight_decay together."""
        return group["weight_decay"] + group["lambd"]

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """η·(g + λ·θ); sets η and μ for the next step."""
        change = state["eta"] * gradient
        lr = group["lr"]
        state["eta"] = lr / (1 + group["lambd"] * lr * step) ** group["alpha"]
        state["mu"] = 1 / max(1, step - group["t0"])
        return change

    def subtract(self, xp: Any, group: Mapping[str, Any], p: Tensor, change: Any) -> None:
        """The step, and the update of the average, with the μ of the previous step."""
        super().subtract(xp, group, p, change)
        own = self.state[p]
        if own["mu"] == 1:
            own["ax"][...] = p.data
        else:
            own["ax"][...] += own["mu"] * (p.data - own["ax"])
