"""Checks of Keras's arguments."""

from collections.abc import Collection
from typing import Any

from minidl.checks import is_integer, pair
from minidl.errors import ArgumentError, describe


def refuse(who: str, given: dict[str, Any], not_offered: Collection[str]) -> None:
    """Raise for leftover keyword arguments, unless they are Keras's and None."""
    for name, value in given.items():
        if name not in not_offered:
            raise ArgumentError(f"{who}: has no argument {name!r}")
        if value is not None:
            raise ArgumentError(f"{who}: {name} of Keras is not offered here; got {value!r:.60}")


def positive(who: str, setting: str, value: Any) -> int:
    """The value as an integer, at least 1."""
    if not is_integer(value) or value < 1:
        raise ArgumentError(f"{who}: {setting} is an integer ≥ 1; got {value!r:.60}")
    return int(value)


def pair_of(who: str, setting: str, value: Any) -> tuple[int, int]:
    """The value as a pair: one integer for both spatial axes, or two."""
    return pair(who, setting, value, 1)


def padding_of(who: str, value: Any) -> str:
    """The value as "valid" or "same", in lower case."""
    if not isinstance(value, str) or value.lower() not in ("valid", "same"):
        raise ArgumentError(f'{who}: padding is "valid" or "same"; got {value!r:.60}')
    return value.lower()


def channels_last(who: str, data_format: Any) -> None:
    """Raise unless images are (N, H, W, C)."""
    if data_format not in (None, "channels_last"):
        raise ArgumentError(
            f'{who}: data_format is "channels_last": images are (N, H, W, C); got '
            f"{data_format!r:.60}"
        )


def shape_of(who: str, shape: Any) -> tuple[int | None, ...]:
    """The shape of a sample: lengths, with None for those not known before the data."""
    lengths = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if not all(n is None or is_integer(n) and n >= 0 for n in lengths):
        raise ArgumentError(
            f"{who}: a shape is a tuple of lengths, without the batch, such as (28, 28, 1); got "
            f"{describe(shape)}"
        )
    return tuple(None if n is None else int(n) for n in lengths)
