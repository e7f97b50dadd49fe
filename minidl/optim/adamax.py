"""Adamax."""

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.optim.checks import check_betas, check_not_negative
from minidl.optim.moments import follow
from minidl.optim.optimizer import Optimizer


class Adamax(Optimizer):
    """Adam with the largest gradient, slowly forgotten, in place of a root of mean squares.

        m ← β₁·m + (1 − β₁)·g              u ← max(β₂·u, |g| + ε)
        θ ← θ − lr / (1 − β₁ᵗ) · m / u

    g is the gradient, plus weight_decay·θ.  Kingma, Ba 2015 (algorithm 2), with ε as in PyTorch.  A
    RowGradient is made dense.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.Adamax([w], lr=0.1)
    >>> for _ in range(2):
    ...     w.grad = minidl.tensor([100.0, -0.01], dtype="float64")
    ...     optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.8, 1.2]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            maximize=maximize,
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        """Rates are not negative, and betas are two numbers below 1."""
        check_not_negative("Adamax", settings, "lr", "eps", "weight_decay")
        check_betas("Adamax", settings)

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """m and u."""
        return "exp_avg", "exp_inf"

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: Mapping[str, Any]
    ) -> Any:
        """lr / (1 − β₁ᵗ) · m / u."""
        beta1, beta2 = map(float, group["betas"])
        m, u = state["exp_avg"], state["exp_inf"]
        follow(m, beta1, gradient)
        u *= beta2
        u[...] = xp.maximum(u, xp.abs(gradient) + group["eps"])
        return group["lr"] / (1 - beta1**step) * m / u
