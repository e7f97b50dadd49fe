"""RAdam: rectified Adam (Liu et al. 2020)."""

from collections.abc import Mapping
from typing import Any

from minidl.checks import check_numbers, chosen
from minidl.optim.moments import check_betas, update_moments
from minidl.optim.optimizer import Optimizer, Params


class RAdam(Optimizer):
    """Adam that starts as SGD with momentum, until the variance of its step is tractable.

        m ← β₁·m + (1 − β₁)·g              v ← β₂·v + (1 − β₂)·g²
        m̂ = m / (1 − β₁ᵗ)
        ρ∞ = 2 / (1 − β₂) − 1              ρ = ρ∞ − 2t·β₂ᵗ / (1 − β₂ᵗ)
        θ ← θ − lr·m̂                                                        (while ρ ≤ 5)
        θ ← θ − lr·m̂ · √((ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ)) · √(1 − β₂ᵗ) / (√v + ε)

    g is the gradient, plus weight_decay·θ; with decoupled_weight_decay, g is the gradient alone,
    and θ first loses lr·weight_decay·θ, as in AdamW.  Liu et al. 2020, with ρ > 5 as in PyTorch,
    where the paper has ρ > 4.  A RowGradient is densified.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.RAdam([w], lr=0.1)
    >>> w.grad = minidl.tensor([1.0, -2.0], dtype="float64")
    >>> optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.9, 1.2]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        """Require non-negative rates, and betas in [0, 1)."""
        check_numbers("RAdam", 0, finite=True, **chosen(settings, "lr", "eps", "weight_decay"))
        check_betas("RAdam", settings)

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The first moment m and the second moment v."""
        return "exp_avg", "exp_avg_sq"

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """lr·m̂; for ρ > 5 divided by √v̂ + ε and rectified."""
        beta1, beta2 = map(float, group["betas"])
        m, v = update_moments(group, gradient, state)
        change = group["lr"] / (1 - beta1**step) * m
        correction = 1 - beta2**step
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * step * beta2**step / correction
        if rho <= 5:
            return change
        rectification = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        root = v**0.5
        root += group["eps"]
        change *= (rectification * correction) ** 0.5
        return change / root
