"""What bodies ask of their settings, and of dtypes that the promotion table leaves to them."""

import math

import numpy as np

from minidl.backends.window import is_number
from minidl.dtypes import default_float, dtype_of
from minidl.errors import ArgumentError, DTypeError, describe

_NUMBERS = int, float, np.integer, np.floating


def check_numbers(**settings):
    """Raise ArgumentError for a setting that is no real number."""
    for name, value in settings.items():
        if not isinstance(value, _NUMBERS):
            raise ArgumentError(f"{name} is a number; got {describe(value)}")


def check_whole(**settings):
    """Raise ArgumentError for a setting that is no whole number."""
    for name, value in settings.items():
        if not is_number(value):
            raise ArgumentError(f"{name} is a whole number; got {describe(value)}")


def check_positive(**settings):
    """Raise ArgumentError for a setting that is no number above 0."""
    for name, value in settings.items():
        if not isinstance(value, _NUMBERS) or not value > 0:
            raise ArgumentError(f"{name} is a number above 0; got {describe(value)}")


def check_not_negative(**settings):
    """Raise ArgumentError for a setting that is no number from 0 on."""
    for name, value in settings.items():
        if not isinstance(value, _NUMBERS) or not value >= 0:
            raise ArgumentError(f"{name} is a number from 0 on; got {describe(value)}")


def check_probability(name, p):
    """Raise if p is no number from 0 to 1."""
    if not isinstance(p, _NUMBERS) or not 0 <= p <= 1:
        raise ArgumentError(f"{name}: p is a probability, a number from 0 to 1; got {p!r}")


def check_slopes(name, lower, upper):
    """Raise unless lower ≤ upper, both finite."""
    numbers = isinstance(lower, _NUMBERS) and isinstance(upper, _NUMBERS)
    if not numbers or not -math.inf < lower <= upper < math.inf:
        raise ArgumentError(f"{name}: needs finite lower ≤ upper; got {lower!r} and {upper!r}")


def floats(xp, x):
    """x, integers and bools as float32, in which they neither wrap around nor lose their sign."""
    return x if x.dtype.kind in "fc" else xp.astype(x, default_float)


def real_floats(xp, x):
    """x, integers and bools as float32; DTypeError for complex numbers."""
    if x.dtype.kind == "c":
        raise DTypeError(f"needs real numbers; got {x.dtype}")
    return floats(xp, x)


def cast(xp, x, dtype):
    """x in this dtype; None leaves it as it is."""
    if dtype is None or x.dtype == (dtype := dtype_of(dtype)):
        return x
    if x.dtype.kind == "c" and dtype.kind != "c":
        raise DTypeError(f"{x.dtype} numbers are not made {dtype}: their imaginary part would go")
    return xp.astype(x, dtype)
