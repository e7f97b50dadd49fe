"""Running means of gradients and of their squares, which Adam and its kin share."""

from collections.abc import Mapping
from typing import Any


def follow(mean: Any, beta: float, values: Any) -> None:
    """mean ← β·mean + (1 − β)·values, in place."""
    mean *= beta
    mean += (1 - beta) * values


def moments(group: Mapping[str, Any], gradient: Any, state: Mapping[str, Any]) -> tuple[Any, Any]:
    """m ← β₁·m + (1 − β₁)·g and v ← β₂·v + (1 − β₂)·g², in place; both of them."""
    beta1, beta2 = map(float, group["betas"])
    m, v = state["exp_avg"], state["exp_avg_sq"]
    follow(m, beta1, gradient)
    follow(v, beta2, gradient * gradient)
    return m, v


def corrected_root(group: Mapping[str, Any], step: int, v: Any) -> Any:
    """√v̂ + ε, where v̂ = v / (1 − β₂ᵗ)."""
    root = v**0.5
    root /= (1 - float(group["betas"][1]) ** step) ** 0.5
    root += group["eps"]
    return root
