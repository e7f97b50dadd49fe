"""RAdam."""

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.optim.checks import check_betas, check_not_negative
from minidl.optim.moments import moments
from minidl.optim.optimizer import Optimizer


class RAdam(Optimizer):
    """Adam that begins as a momentum, until its mean of squares can be relied on.

        m ← β₁·m + (1 − β₁)·g              v ← β₂·v + (1 − β₂)·g²
        m̂ = m / (1 − β₁ᵗ)
        ρ∞ = 2 / (1 − β₂) − 1              ρ = ρ∞ − 2t·β₂ᵗ / (1 − β₂ᵗ)
        θ ← θ − lr·m̂                                                        (as long as ρ ≤ 5)
        θ ← θ − lr·m̂ · √((ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ)) · √(1 − β₂ᵗ) / (√v + ε)

    g is the gradient, plus weight_decay·θ; with decoupled_weight_decay, g is the gradient alone,
    and θ first loses lr·weight_decay·θ, as in AdamW.  Liu et al. 2020, with ρ > 5 as in PyTorch,
    where the paper has ρ > 4.  A RowGradient is made dense.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.RAdam([w], lr=0.1)
    >>> w.grad = minidl.tensor([1.0, -2.0], dtype="float64")
    >>> optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.9, 1.2]
    """

    def __init__(
        self,
        params: Iterable[Any],
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
        """Rates are not negative, and betas are two numbers below 1."""
        check_not_negative("RAdam", settings, "lr", "eps", "weight_decay")
        check_betas("RAdam", settings)

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """m and v."""
        return "exp_avg", "exp_avg_sq"

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: Mapping[str, Any]
    ) -> Any:
        """lr·m̂, once ρ is above 5 rectified and over √v̂ + ε."""
        beta1, beta2 = map(float, group["betas"])
        m, v = moments(group, gradient, state)
        change = group["lr"] / (1 - beta1**step) * m
        rest = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / rest
        if length <= 5:
            return change
        share = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        root = v**0.5
        root += group["eps"]
        change *= (share * rest) ** 0.5
        return change / root
