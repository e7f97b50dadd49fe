"""Adagrad (Duchi, Hazan & Singer 2011)."""

from collections.abc import Mapping
from typing import Any

from minidl.checks import check_numbers, chosen
from minidl.optim.optimizer import Optimizer, Params


class Adagrad(Optimizer):
    """The gradient divided by the root of the sum of all its squares so far.

        s ← s + g²                                  (s₀: initial_accumulator_value)
        θ ← θ − lr / (1 + (t − 1)·lr_decay) · g / (√s + ε)

    g is the gradient, plus weight_decay·θ; t is the step count.  Duchi, Hazan, Singer 2011.
    Without weight decay, a RowGradient updates only its rows, with the same result as dense.

    >>> w = nn.Parameter(np.array([1.0, 1.0]))
    >>> optimizer = optim.Adagrad([w], lr=0.5)
    >>> for _ in range(2):
    ...     w.grad = minidl.tensor([100.0, -0.01], dtype="float64")
    ...     optimizer.step()
    >>> w.numpy().round(4).tolist()
    [0.1464, 1.8536]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            maximize=maximize,
        )

    def check(self, settings: Mapping[str, Any]) -> None:
        """Require non-negative settings."""
        rates = "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"
        check_numbers("Adagrad", 0, finite=True, **chosen(settings, *rates))

    def state_names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The accumulator s."""
        return ("sum",)

    def initial(self, group: Mapping[str, Any], name: str) -> float:
        """The initial value of s."""
        return group["initial_accumulator_value"]

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """The decayed lr · g / (√s + ε)."""
        s = state["sum"]
        s += gradient * gradient
        root = s**0.5
        root += group["eps"]
        return group["lr"] / (1 + (step - 1) * group["lr_decay"]) * gradient / root

    def takes_rows(self, group: Mapping[str, Any]) -> bool:
        """Without weight decay, which would move rows without a gradient."""
        return not group["weight_decay"]
