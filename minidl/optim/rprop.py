"""Rprop: resilient backpropagation (Riedmiller & Braun 1993)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.checks import check_numbers, chosen
from minidl.errors import ArgumentError
from minidl.optim.optimizer import Optimizer, Params


class Rprop(Optimizer):
    """A step size for each weight, adapted by the signs of its gradients alone.

        s ← clip(s·η₊, smin, smax)         if the gradient g has the same sign as before
        s ← clip(s·η₋, smin, smax)         if its sign has changed; then g is treated as 0
        θ ← θ − s · sign g

    The initial s is lr; etas are (η₋, η₊), and step_sizes (smin, smax).  Meant for full-batch
    gradients.  Riedmiller, Braun 1993, in the form of Igel, Hüsken 2000 (iRprop⁻).  A RowGradient
    is densified.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.Rprop([w], lr=0.1)
    >>> for _ in range(2):
    ...     w.grad = minidl.tensor([100.0, -0.01], dtype="float64")
    ...     optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.78, 1.22]
    """

    counts_steps = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Require 0 < η₋ < 1 < η₊ and 0 ≤ smin ≤ smax."""
        check_numbers("Rprop", 0, finite=True, **chosen(settings, "lr"))
        eta_minus, eta_plus = _pair(settings, "etas")
        if not 0 < eta_minus < 1 < eta_plus:
            raise ArgumentError(
                f"Rprop: etas are a number below 1 and one above; got {settings['etas']!r}"
            )
        size_min, size_max = _pair(settings, "step_sizes")
        if not 0 <= size_min <= size_max:
            raise ArgumentError(
                f"Rprop: step_sizes are two ascending numbers ≥ 0; got {(size_min, size_max)}"
            )

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The previous g, and s."""
        return "prev", "step_size"

    def initial(self, group: Mapping[str, Any], name: str) -> float:
        """s₀ = lr, and a previous g of 0."""
        return group["lr"] if name == "step_size" else 0.0

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """s · sign g."""
        eta_minus, eta_plus = map(float, group["etas"])
        size_min, size_max = map(float, group["step_sizes"])
        previous, size = state["prev"], state["step_size"]
        agreement = gradient * previous
        grown = xp.where(agreement > 0, eta_plus * size, size)
        size[...] = xp.where(agreement < 0, eta_minus * size, grown)
        size[...] = xp.minimum(xp.maximum(size, size_min), size_max)
        previous[...] = xp.where(agreement < 0, xp.zeros_like(gradient), gradient)
        return size * xp.sign(previous)


def _pair(settings: Mapping[str, Any], setting: str) -> tuple[float, float]:
    """A setting that is a pair of numbers, validated."""
    pair = settings[setting]
    two = isinstance(pair, tuple | list) and len(pair) == 2
    if not two or not all(isinstance(x, int | float | np.number) for x in pair):
        raise ArgumentError(f"Rprop: {setting} are two numbers; got {pair!r}")
    return pair[0], pair[1]
