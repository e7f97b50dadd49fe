"""Keras 3's update rules, where they differ from those of `minidl.optim`, which are PyTorch's.

What differs is where ε stands and what a momentum holds.  It shows at small gradients, and when the
learning rate changes.  From keras/src/optimizers/{sgd,rmsprop,adam,adagrad}.py of Keras 3.
"""

from collections.abc import Mapping
from typing import Any

from minidl import optim
from minidl.optim.moments import update_average

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "RMSprop"]


class SGD(optim.SGD):
    """With momentum, θ ← θ − v, where v ← μ·v + η·g; with nesterov, θ ← θ − (μ·v + η·g).

    PyTorch's v has no η in it: the steps differ after η has changed.

    >>> from minidl.keras import update_rules
    >>> w = nn.Parameter(np.array([1.0]))
    >>> optimizer = update_rules.SGD([w], lr=0.5, momentum=0.5)
    >>> for lr in [0.5, 0.0]:
    ...     optimizer.param_groups[0]["lr"] = lr
    ...     w.grad = minidl.tensor([1.0], dtype="float64")
    ...     optimizer.step()
    >>> w.tolist()  # the momentum goes on
    [0.25]
    """

    def at_step(self, group: Mapping[str, Any], step: int) -> Mapping[str, Any]:
        """η·g in the place of the gradient, and a rate of 1, if there is a momentum."""
        scaled = {**group, "lr": 1.0, "gradient_scale": group["lr"]}
        return scaled if group["momentum"] else group

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """v, or η·g."""
        scaled = gradient * group["gradient_scale"] if "gradient_scale" in group else gradient
        return super().change(xp, group, step, scaled, state)


class RMSprop(optim.RMSprop):
    """θ ← θ − η·g / √(v + ε), v ← α·v + (1 − α)·g²; centered, v − m² replaces v.

    With momentum μ, θ ← θ − b, where b ← μ·b + η·g / √(v + ε).

    >>> from minidl.keras import update_rules
    >>> w = nn.Parameter(np.array([1.0]))
    >>> w.grad = minidl.tensor([1e-4], dtype="float64")
    >>> update_rules.RMSprop([w], lr=0.1, alpha=0.75, eps=1e-7).step()
    >>> w.numpy().round(6).tolist()  # 1 − 0.1·10⁻⁴ / √(¼·10⁻⁸ + 10⁻⁷)
    [0.968765]
    """

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """η·g / √(v + ε), or b."""
        v, alpha = state["square_avg"], group["alpha"]
        update_average(v, alpha, gradient * gradient)
        if group["centered"]:
            m = state["grad_avg"]
            update_average(m, alpha, gradient)
            v = xp.maximum(v - m * m, 0)  # rounding may make it negative
        change = group["lr"] * gradient / (v + group["eps"]) ** 0.5
        if not group["momentum"]:
            return change
        b = state["momentum_buffer"]
        b *= group["momentum"]
        b += change
        return b


class Adagrad(optim.Adagrad):
    """θ ← θ − η·g / √(s + ε), s ← s + g².

    >>> from minidl.keras import update_rules
    >>> w = nn.Parameter(np.array([1.0]))
    >>> w.grad = minidl.tensor([1e-4], dtype="float64")
    >>> update_rules.Adagrad([w], lr=0.1, eps=1e-7).step()
    >>> w.numpy().round(6).tolist()  # 1 − 0.1·10⁻⁴ / √(10⁻⁸ + 10⁻⁷)
    [0.969849]
    """

    def change(
        self, xp: Any, group: Mapping[str, Any], step: int, gradient: Any, state: dict[str, Any]
    ) -> Any:
        """η·g / √(s + ε)."""
        s = state["sum"]
        s += gradient * gradient
        return group["lr"] * gradient / (s + group["eps"]) ** 0.5


class Adam(optim.Adam):
    """θ ← θ − η·√(1 − β₂ᵗ)/(1 − β₁ᵗ) · m / (√v + ε): ε beside √v, which is not corrected.

    It is PyTorch's step with an ε of ε/√(1 − β₂ᵗ), which is larger at first.  The paper calls it
    the more efficient form (Kingma, Ba 2015, section 2).

    >>> from minidl.keras import update_rules
    >>> w = nn.Parameter(np.array([1.0]))
    >>> w.grad = minidl.tensor([1e-7], dtype="float64")
    >>> update_rules.Adam([w], lr=0.1, eps=1e-7).step()
    >>> w.numpy().round(6).tolist()  # 1 − 0.1·√0.001·10⁻⁷ / (√0.001·10⁻⁷ + 10⁻⁷)
    [0.996935]
    """

    def at_step(self, group: Mapping[str, Any], step: int) -> Mapping[str, Any]:
        """The settings with PyTorch's ε."""
        correction = (1 - float(group["betas"][1]) ** step) ** 0.5
        return {**group, "eps": group["eps"] / correction}


class AdamW(Adam, optim.AdamW):
    """Adam as above, after θ ← θ − η·λ·θ.

    >>> from minidl.keras import update_rules
    >>> w = nn.Parameter(np.array([1.0]))
    >>> w.grad = minidl.tensor([0.0], dtype="float64")
    >>> update_rules.AdamW([w], lr=0.1, weight_decay=0.5).step()
    >>> w.tolist()
    [0.95]
    """
