"""LAMB."""

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.optim.checks import check_betas, check_not_negative
from minidl.optim.moments import corrected_root, moments
from minidl.optim.optimizer import Optimizer


class LAMB(Optimizer):
    """Adam's direction, and for each parameter a length in proportion to its own.

        m ← β₁·m + (1 − β₁)·g              v ← β₂·v + (1 − β₂)·g²
        r = (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε) + weight_decay·θ
        θ ← θ − lr · ‖θ‖ / ‖r‖ · r         (where one of them is 0: θ − lr·r)

    ‖·‖ is the root of the sum of squares over a whole parameter: a weight, a bias.  It is for large
    batches.  You et al. 2020 (algorithm 2, with φ(z) = z).  A RowGradient is made dense.

    >>> w = nn.Parameter(np.array([3.0, 4.0]))
    >>> optimizer = optim.LAMB([w], lr=0.1, weight_decay=0)
    >>> w.grad = minidl.tensor([100.0, -0.01], dtype="float64")
    >>> optimizer.step()
    >>> w.numpy().round(4).tolist()
    [2.6464, 4.3535]
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
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
        check_not_negative("LAMB", settings, "lr", "eps", "weight_decay")
        check_betas("LAMB", settings)

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """m and v."""
        return "exp_avg", "exp_avg_sq"

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: Mapping[str, Any]
    ) -> Any:
        """lr · m̂ / (√v̂ + ε)."""
        beta1 = float(group["betas"][0])
        m, v = moments(group, gradient, state)
        root = corrected_root(group, step, v)
        return group["lr"] / (1 - beta1**step) * m / root

    def subtract(self, xp: Any, group: Mapping[str, Any], p: Tensor, change: Any) -> None:
        """The change, which is lr·r, made lr·‖θ‖ long."""
        length, own = _norm(xp, p.data), _norm(xp, change)
        ratio = xp.divide(group["lr"] * length, own)
        known = xp.logical_and(length > 0, own > 0)
        super().subtract(xp, group, p, change * xp.where(known, ratio, 1.0))


def _norm(xp: Any, x: Any) -> Any:
    """The root of the sum of squares."""
    return xp.sum(x * x, axis=None, keepdims=False) ** 0.5
