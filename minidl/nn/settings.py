"""What layers and initialisers ask of their settings, checked once, when they are made.

Each check is given who asks, a layer or the name of a function, and the settings by their names.
"""

from collections.abc import Collection
from numbers import Real
from typing import Any

import numpy as np

from minidl import dtypes, errors, ops
from minidl.autograd.tensor import Tensor
from minidl.backends.window import is_number, lengths
from minidl.errors import ArgumentError, DeviceError, DTypeError, describe
from minidl.ops.random import Generator


def check_whole(owner: Any, least: float = 0, **settings: Any) -> None:
    """Raise unless each is a whole number from `least` on."""
    for name, value in settings.items():
        if not is_number(value) or value < least:
            start = f" from {least} on" if least > -np.inf else ""
            raise _refusal(owner, name, f"a whole number{start}", value)


def check_axes(owner: Any, **settings: Any) -> None:
    """Raise unless each is the number of an axis, which may be counted from the end."""
    for name, value in settings.items():
        if not is_number(value):
            raise _refusal(owner, name, "the number of an axis", value)


def check_numbers(
    owner: Any,
    least: float = -np.inf,
    most: float = np.inf,
    above: float | None = None,
    **settings: Any,
) -> None:
    """Raise unless each is a real number, not NaN, from `least` to `most`, or above `above`."""
    for name, value in settings.items():
        number = isinstance(value, Real) and not isinstance(value, bool)
        if number and least <= value <= most and (above is None or value > above):
            continue
        ends = [f"above {above}"] * (above is not None)
        ends += [f"from {least}"] * (least > -np.inf) + [f"to {most}"] * (most < np.inf)
        raise _refusal(owner, name, " ".join(["a number", *ends]), value)


def check_flags(owner: Any, **settings: Any) -> None:
    """Raise unless each is True or False."""
    errors.check_flags(f"{name_of(owner)}: ", **settings)


def check_choice(owner: Any, choices: Collection[str], **settings: Any) -> None:
    """Raise unless each is one of the words."""
    for name, value in settings.items():
        if not isinstance(value, str) or value not in choices:
            raise _refusal(owner, name, " or ".join(f'"{word}"' for word in choices), value)


def check_generator(owner: Any, generator: Any) -> None:
    """Raise unless random numbers can come from it; None: from minidl's default one."""
    if not isinstance(generator, Generator | None):
        raise _refusal(owner, "generator", "a minidl.random.Generator or None", generator)


def check_lengths(owner: Any, axes: int, least: int, **settings: Any) -> None:
    """Raise unless each is a whole number from `least` on, or one for each of so many axes."""
    for name, value in settings.items():
        lengths(name_of(owner), name, value, least, axes)


def check_shape(owner: Any, least: int = 0, **settings: Any) -> None:
    """Raise unless each is a length, or a sequence of at least one; −1 may mean the rest."""
    for name, value in settings.items():
        axes = value if isinstance(value, tuple | list) else (value,)
        if not axes or not all(is_number(n) and n >= least for n in axes):
            raise _refusal(owner, name, f"a whole number from {least} on, or several", value)


def empty(owner: Any, shape: int | tuple[int, ...], dtype: Any, device: Any) -> Tensor:
    """What a parameter of a layer is made of, before anything is written: floats."""
    name = name_of(owner)
    if dtype is not None and not dtypes.is_float(dtypes.dtype_of(dtype, name)):
        raise DTypeError(f"{name}: parameters are floats; got dtype={dtypes.dtype_of(dtype, name)}")
    try:
        return ops.empty(shape, dtype=dtype, device=device)
    except DeviceError as error:
        raise DeviceError(f"{name}: {error}") from None


def name_of(owner: Any) -> str:
    """What errors call a layer, or a function that gave its name."""
    return owner if isinstance(owner, str) else type(owner).__name__


def _refusal(owner: Any, setting: str, needs: str, value: Any) -> ArgumentError:
    return ArgumentError(f"{name_of(owner)}: {setting} is {needs}; got {describe(value)}")
