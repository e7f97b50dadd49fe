"""Checks of optimisers' betas."""

from collections.abc import Mapping
from typing import Any

from minidl.checks import is_real
from minidl.errors import ArgumentError


def check_betas(name: str, settings: Mapping[str, Any]) -> None:
    """Raise unless betas are two numbers in [0, 1)."""
    betas = settings["betas"]
    pair = isinstance(betas, tuple | list) and len(betas) == 2
    if not pair or not all(is_real(b) and 0 <= b < 1 for b in betas):
        raise ArgumentError(f"{name}: betas are two numbers from 0 to below 1; got {betas!r}")
