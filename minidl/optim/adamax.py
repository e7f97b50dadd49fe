"""Adamax: Adam with the infinity norm (Kingma & Ba 2015)."""

from collections.abc import Mapping
from typing import Any

from minidl.checks import check_numbers, chosen
from minidl.optim.moments import check_betas, update_average
from minidl.optim.optimizer import Optimizer, Params


class Adamax(Optimizer):
    """Adam with an exponentially decayed infinity norm of the gradients instead of the RMS.

        m ← β₁·m + (1 − β₁)·g              u ← max(β₂·u, |g| + ε)
        θ ← θ − lr / (1 − β₁ᵗ) · m / u

    g is the gradient, plus weight_decay·θ.  Kingma, Ba 2015 (algorithm 2), with ε as in PyTorch.  A
    RowGradient is densified.

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
        params: Params,
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
        """Require non-negative rates, and betas in [0, 1)."""
        check_numbers("Adamax", 0, finite=True, **chosen(settings, "lr", "eps", "weight_decay"))
        check_betas("Adamax", settings)

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The first moment m and the decayed infinity norm u."""
        return "exp_avg", "exp_inf"

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """lr / (1 − β₁ᵗ) · m / u."""
        beta1, beta2 = map(float, group["betas"])
        m, u = state["exp_avg"], state["exp_inf"]
        update_average(m, beta1, gradient)
        u *= beta2
        u[...] = xp.maximum(u, xp.abs(gradient) + group["eps"])
        return group["lr"] / (1 - beta1**step) * m / u
