"""LAMB: Adam with layer-wise trust ratios, for large batches (You et al. 2020)."""

from collections.abc import Mapping
from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.checks import check_numbers, chosen
from minidl.optim.moments import bias_corrected_root, check_betas, update_moments
from minidl.optim.optimizer import Optimizer, Params


class LAMB(Optimizer):
    """Adam's direction, scaled for each parameter tensor by the trust ratio ‖θ‖ / ‖r‖.

        m ← β₁·m + (1 − β₁)·g              v ← β₂·v + (1 − β₂)·g²
        r = (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε) + weight_decay·θ
        θ ← θ − lr · ‖θ‖ / ‖r‖ · r         (θ − lr·r where either norm is 0)

    ‖·‖ is the Euclidean norm of a whole parameter tensor: a weight, a bias.  Meant for large
    batches.  You et al. 2020 (algorithm 2, with φ(z) = z).  A RowGradient is densified.

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
        params: Params,
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
        """Require non-negative rates, and betas in [0, 1)."""
        check_numbers("LAMB", 0, finite=True, **chosen(settings, "lr", "eps", "weight_decay"))
        check_betas("LAMB", settings)

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The first moment m and the second moment v."""
        return "exp_avg", "exp_avg_sq"

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """lr · m̂ / (√v̂ + ε)."""
        beta1 = float(group["betas"][0])
        m, v = update_moments(group, gradient, state)
        root = bias_corrected_root(group, step, v)
        return group["lr"] / (1 - beta1**step) * m / root

    def subtract(self, xp: Any, group: Mapping[str, Any], p: Tensor, change: Any) -> None:
        """Rescale the update lr·r to the norm lr·‖θ‖, and subtract it."""
        weight_norm, update_norm = _norm(xp, p.data), _norm(xp, change)
        ratio = xp.divide(group["lr"] * weight_norm, update_norm)
        defined = xp.logical_and(weight_norm > 0, update_norm > 0)
        super().subtract(xp, group, p, change * xp.where(defined, ratio, 1.0))


def _norm(xp: Any, x: Any) -> Any:
    """The Euclidean norm."""
    return xp.sum(x * x, axis=None, keepdims=False) ** 0.5
