"""First and second moments: exponential moving averages of the gradient and of its square."""

from collections.abc import Mapping
from typing import Any

from minidl.checks import is_real
from minidl.errors import ArgumentError


def update_average(average: Any, beta: float, values: Any) -> None:
    """average ← β·average + (1 − β)·values, in place: an exponential moving average."""
    average *= beta
    average += (1 - beta) * values


def update_moments(
    group: Mapping[str, Any], gradient: Any, state: Mapping[str, Any]
) -> tuple[Any, Any]:
    """m ← β₁·m + (1 − β₁)·g and v ← β₂·v + (1 − β₂)·g², in place; returns both."""
    beta1, beta2 = map(float, group["betas"])
    m, v = state["exp_avg"], state["exp_avg_sq"]
    update_average(m, beta1, gradient)
    update_average(v, beta2, gradient * gradient)
    return m, v


def bias_corrected_root(group: Mapping[str, Any], step: int, v: Any) -> Any:
    """√v̂ + ε, where v̂ = v / (1 − β₂ᵗ) is the bias-corrected second moment."""
    root = v**0.5
    root /= (1 - float(group["betas"][1]) ** step) ** 0.5
    root += group["eps"]
    return root


def check_betas(name: str, settings: Mapping[str, Any]) -> None:
    """Raise unless betas are two numbers in [0, 1)."""
    betas = settings["betas"]
    pair = isinstance(betas, tuple | list) and len(betas) == 2
    if not pair or not all(is_real(b) and 0 <= b < 1 for b in betas):
        raise ArgumentError(f"{name}: betas are two numbers from 0 to below 1; got {betas!r}")
