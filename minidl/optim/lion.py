"""Lion: evolved sign momentum (Chen et al. 2023)."""

from collections.abc import Mapping
from typing import Any

from minidl.checks import check_numbers, chosen
from minidl.optim.moments import check_betas, update_average
from minidl.optim.optimizer import Optimizer, Params


class Lion(Optimizer):
    """Steps of lr in every parameter, in the direction of the sign of a momentum.

        c = β₁·m + (1 − β₁)·g              m ← β₂·m + (1 − β₂)·g
        θ ← θ − lr·(sign c + weight_decay·θ)

    Its steps are longer than Adam's: use a 3 to 10 times smaller lr, and a weight_decay as much
    larger.  Chen et al. 2023 (algorithm 2).  A RowGradient is densified: momentum moves every row.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.Lion([w], lr=0.1)
    >>> for _ in range(2):
    ...     w.grad = minidl.tensor([100.0, -0.01], dtype="float64")
    ...     optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.8, 1.2]
    """

    counts_steps = False
    decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            weight_decay=weight_decay,
            maximize=maximize,
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        """Require non-negative rates, and betas in [0, 1)."""
        check_numbers("Lion", 0, finite=True, **chosen(settings, "lr", "weight_decay"))
        check_betas("Lion", settings)

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The momentum m."""
        return ("exp_avg",)

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """lr · sign c."""
        beta1, beta2 = map(float, group["betas"])
        m = state["exp_avg"]
        sign = xp.sign(beta1 * m + (1 - beta1) * gradient)
        update_average(m, beta2, gradient)
        return group["lr"] * sign
