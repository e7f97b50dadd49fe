"""NAdam: Adam with Nesterov momentum (Dozat 2016)."""

from collections.abc import Mapping
from typing import Any

from minidl.checks import check_numbers, chosen
from minidl.optim.moments import bias_corrected_root, check_betas, update_moments
from minidl.optim.optimizer import Optimizer, Params


class NAdam(Optimizer):
    """Adam with Nesterov momentum.

        m ← β₁·m + (1 − β₁)·g              v ← β₂·v + (1 − β₂)·g²
        μₜ = β₁·(1 − ½·0.96^(t·ψ))         ψ: momentum_decay
        m̂ = μₜ₊₁·m / (1 − μ₁⋯μₜ₊₁) + (1 − μₜ)·g / (1 − μ₁⋯μₜ)
        θ ← θ − lr · m̂ / (√(v / (1 − β₂ᵗ)) + ε)

    g is the gradient, plus weight_decay·θ; with decoupled_weight_decay, g is the gradient alone,
    and θ first loses lr·weight_decay·θ, as in AdamW.  Dozat 2016.  A RowGradient is densified.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.NAdam([w], lr=0.1)
    >>> for _ in range(2):
    ...     w.grad = minidl.tensor([100.0, -0.01], dtype="float64")
    ...     optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.816, 1.184]
    """

    numbers = ("mu_product",)  # μ₁⋯μₜ: state, since betas may change from step to step

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
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
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        """Require non-negative rates, and betas in [0, 1)."""
        check_numbers(
            "NAdam",
            0,
            finite=True,
            **chosen(settings, "lr", "eps", "weight_decay", "momentum_decay"),
        )
        check_betas("NAdam", settings)

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The first moment m and the second moment v."""
        return "exp_avg", "exp_avg_sq"

    def initial(self, group: Mapping[str, Any], name: str) -> float:
        """Zeros; 1 for the empty product."""
        return 1.0 if name == "mu_product" else 0.0

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """lr · m̂ / (√v̂ + ε)."""
        beta1 = float(group["betas"][0])
        m, v = update_moments(group, gradient, state)
        root = bias_corrected_root(group, step, v)
        decay = group["momentum_decay"]
        mu, following = (beta1 * (1 - 0.5 * 0.96 ** (t * decay)) for t in (step, step + 1))
        product = state["mu_product"] = state["mu_product"] * mu
        mean = following / (1 - product * following) * m
        mean += (1 - mu) / (1 - product) * gradient
        return group["lr"] * mean / root
