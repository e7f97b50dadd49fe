"""Casts in bodies, where the promotion table leaves the dtype to them."""

from minidl.dtypes import default_float, dtype_of, float16, float32, float64, result_type
from minidl.errors import DTypeError
from minidl.ops.dtype_functions import finfo


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


def widened(xp, x):
    """x as what its sums and differences are computed in: float16 as float32, integers as float64.

    As float32 at once, integers above 2²⁴ would lose the digits by which they differ.
    """
    if x.dtype.kind in "fc":
        return xp.astype(x, float32) if x.dtype == float16 else x
    return xp.astype(x, float64)


def float_of(*given):
    """The float or complex dtype of an operation on these, where integers count as float32."""
    dtype = result_type(*given)
    return dtype if dtype.kind in "fc" else default_float


def narrowed(xp, y, *given):
    """y, computed from these `widened`, as the float dtype that an operation on them has."""
    dtype = float_of(*given)
    return cast(xp, y, dtype) if y.dtype.kind == dtype.kind else y


def differences(xp, x, key_behind, key_before):
    """x[key_behind] − x[key_before] of x `widened`; of integers, exact before it is rounded."""
    rough = widened(xp, x)
    rough = rough[key_behind] - rough[key_before]
    if x.dtype.kind in "fc":
        return rough
    whole = xp.astype(x, "int64")
    exact = whole[key_behind] - whole[key_before]  # wraps around where it exceeds int64
    return xp.where(xp.abs(rough) < 2.0**62, xp.astype(exact, float64), rough)


def scale_of_gap(xp, x1, x2):
    """½ where x₂ − x₁ could overflow, and 1 elsewhere: to compute with scaled x rounds nothing."""
    limit = min(finfo(x1.dtype).max, finfo(x2.dtype).max) / 4
    large = xp.logical_or(xp.abs(x1.detach()) > limit, xp.abs(x2.detach()) > limit)
    return xp.where(large, 0.5, 1.0)


def widest(xp, x):
    """x in double precision, where products neither overflow nor vanish; integers as they are."""
    wide = {"f": "float64", "c": "complex128"}.get(x.dtype.kind)
    return x if wide is None or x.dtype == wide else xp.astype(x, wide)
