"""Casts in bodies, where the promotion table leaves the dtype to them."""

from minidl.dtypes import default_float, dtype_of
from minidl.errors import DTypeError


def cast(xp, x, dtype):
    """x in this dtype; None leaves it unchanged."""
    if dtype is None or x.dtype == (dtype := dtype_of(dtype)):
        return x
    if x.dtype.kind == "c" and dtype.kind != "c":
        raise DTypeError(f"{x.dtype} numbers are not made {dtype}: their imaginary part would go")
    return xp.astype(x, dtype)


def floats(xp, x):
    """x, with integers and bools as float32, where they neither overflow nor lose their sign."""
    return x if x.dtype.kind in "fc" else xp.astype(x, default_float)


def real_floats(xp, x):
    """x, with integers and bools as float32; DTypeError for complex numbers."""
    if x.dtype.kind == "c":
        raise DTypeError(f"needs real numbers; got {x.dtype}")
    return floats(xp, x)


def widest(xp, x):
    """x in double precision, where products neither overflow nor vanish; integers as they are."""
    wide = {"f": "float64", "c": "complex128"}.get(x.dtype.kind)
    return x if wide is None or x.dtype == wide else xp.astype(x, wide)
