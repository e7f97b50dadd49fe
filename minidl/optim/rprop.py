"""Rprop."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minidl.errors import ArgumentError
from minidl.optim.checks import check_not_negative
from minidl.optim.optimizer import Optimizer


class Rprop(Optimizer):
    """Steps of each parameter's own size, which depends on signs of gradients alone.

        s ← clip(s·η₊, smin, smax)         if the gradient g has the sign that it had before
        s ← clip(s·η₋, smin, smax)         if it has the other one; then g counts as 0
        θ ← θ − s · sign g

    s begins as lr; etas are (η₋, η₊), and step_sizes (smin, smax).  It is for gradients of all data
    at once, not of batches.  Riedmiller, Braun 1993, in the form of Igel, Hüsken 2000 (iRprop⁻).  A
    RowGradient is made dense.

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
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Sizes are not negative, and η₋ < 1 < η₊."""
        check_not_negative("Rprop", settings, "lr")
        smaller, larger = _pair(settings, "etas")
        if not 0 < smaller < 1 < larger:
            raise ArgumentError(
                f"Rprop: etas are a number below 1 and one above; got {settings['etas']!r}"
            )
        least, most = _pair(settings, "step_sizes")
        if not 0 <= least <= most:
            raise ArgumentError(
                f"Rprop: step_sizes are two ascending numbers from 0 on; got {(least, most)}"
            )

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The last g, and s."""
        return "prev", "step_size"

    def initial(self, group: Mapping[str, Any], name: str) -> float:
        """s is lr, and there has been no g."""
        return group["lr"] if name == "step_size" else 0.0

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: Mapping[str, Any]
    ) -> Any:
        """s · sign g."""
        smaller, larger = map(float, group["etas"])
        least, most = map(float, group["step_sizes"])
        last, size = state["prev"], state["step_size"]
        turned = gradient * last
        grown = xp.where(turned > 0, larger * size, size)
        size[...] = xp.where(turned < 0, smaller * size, grown)
        size[...] = xp.minimum(xp.maximum(size, least), most)
        last[...] = xp.where(turned < 0, xp.zeros_like(gradient), gradient)
        return size * xp.sign(last)


def _pair(settings: Mapping[str, Any], setting: str) -> tuple[float, float]:
    """Two numbers."""
    pair = settings[setting]
    two = isinstance(pair, tuple | list) and len(pair) == 2
    if not two or not all(isinstance(x, int | float | np.number) for x in pair):
        raise ArgumentError(f"Rprop: {setting} are two numbers; got {pair!r}")
    return pair[0], pair[1]
