"""What settings of optimisers and schedules may be."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.errors import ArgumentError


def check_not_negative(
    name: str, settings: Mapping[str, Any], *which: str, infinite: bool = False
) -> None:
    """Raise for the first of these settings that is no number from 0 on, or not finite."""
    for setting in which:
        value = settings[setting]
        number = isinstance(value, int | float | np.number) and value >= 0
        if not number or (value == math.inf and not infinite):
            finite = "" if infinite else ", and finite"
            raise ArgumentError(f"{name}: {setting} is a number from 0 on{finite}; got {value!r}")


def check_fraction(name: str, settings: Mapping[str, Any], *which: str) -> None:
    """Raise for the first of these settings that is no number from 0 to 1."""
    for setting in which:
        value = settings[setting]
        if not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
            raise ArgumentError(f"{name}: {setting} is a number from 0 to 1; got {value!r}")


def check_finite(name: str, settings: Mapping[str, Any], *which: str) -> None:
    """Raise for the first of these settings that is no finite number."""
    for setting in which:
        value = settings[setting]
        if not isinstance(value, int | float | np.number) or not math.isfinite(value):
            raise ArgumentError(f"{name}: {setting} is a finite number; got {value!r}")


def check_count(name: str, settings: Mapping[str, Any], *which: str, least: int = 1) -> None:
    """Raise for the first of these settings that is no whole number from `least` on."""
    for setting in which:
        value = settings[setting]
        if not isinstance(value, int | np.integer) or value < least:
            raise ArgumentError(
                f"{name}: {setting} is a whole number from {least} on; got {value!r}"
            )


def check_choice(name: str, settings: Mapping[str, Any], setting: str, *choices: str) -> None:
    """Raise if this setting is none of the choices."""
    value = settings[setting]
    if value not in choices:
        raise ArgumentError(f"{name}: {setting} is one of {choices}; got {value!r}")


def check_betas(name: str, settings: Mapping[str, Any]) -> None:
    """Raise if betas are no two numbers below 1."""
    betas = settings["betas"]
    pair = isinstance(betas, tuple | list) and len(betas) == 2
    if not pair or not all(isinstance(b, float | int | np.number) and 0 <= b < 1 for b in betas):
        raise ArgumentError(f"{name}: betas are two numbers from 0 to below 1; got {betas!r}")
