"""Data type functions: limits, kinds and casts of dtypes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.dtypes import dtype_of, promote
from minidl.errors import ArgumentError, DTypeError

_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}


@dataclass(frozen=True)
class FloatInfo:
    """The result of finfo; for a complex dtype, all but `dtype` and `bits` are those of its parts.

    bits                bits of an element
    eps                 the difference between 1 and the next float
    max, min            the largest and the smallest number
    smallest_normal     the smallest positive normal number
    dtype               the real dtype

    >>> minidl.finfo("float16").max
    65504.0
    """

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype


@dataclass(frozen=True)
class IntegerInfo:
    """The result of iinfo: the bits of an element, the largest and smallest number, and the dtype.

    >>> minidl.iinfo("uint8").max
    255
    """

    bits: int
    max: int
    min: int
    dtype: np.dtype


def finfo(type: Any, /) -> FloatInfo:
    """The limits of a float or complex dtype, or of that of an array; else DTypeError.

    >>> 1 + minidl.finfo("float64").eps > 1
    True
    >>> minidl.finfo(minidl.ones(3)).bits
    32
    """
    dtype = dtype_of(getattr(type, "dtype", type), "finfo")
    if dtype.kind not in "fc":
        raise DTypeError(f"finfo: needs a float or complex dtype; got {dtype}")
    info = np.finfo(dtype)
    return FloatInfo(
        bits=info.bits,
        eps=float(info.eps),
        max=float(info.max),
        min=float(info.min),
        smallest_normal=float(info.smallest_normal),
        dtype=dtype_of(info.dtype),
    )


def iinfo(type: Any, /) -> IntegerInfo:
    """The limits of an integer dtype, or of that of an array; else DTypeError.

    >>> minidl.iinfo("int8").min, minidl.iinfo("int8").max
    (-128, 127)
    """
    dtype = dtype_of(getattr(type, "dtype", type), "iinfo")
    if dtype.kind not in "iu":
        raise DTypeError(f"iinfo: needs an integer dtype; got {dtype}")
    info = np.iinfo(dtype)
    return IntegerInfo(info.bits, int(info.max), int(info.min), dtype)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind: one of those below, a dtype, or a tuple of alternatives.

    "bool", "signed integer", "unsigned integer", "integral" (either), "real floating",
    "complex floating", "numeric" (all but bool).

    >>> minidl.isdtype(minidl.uint8, "integral")
    True
    >>> minidl.isdtype(minidl.float32, ("bool", minidl.float64))
    False
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    dtype = dtype_of(dtype, "isdtype")
    if not isinstance(kind, str):
        return dtype == dtype_of(kind, "isdtype")
    if kind not in _KINDS:
        raise ArgumentError(f"isdtype: no kind {kind!r}; there are {', '.join(map(repr, _KINDS))}")
    return dtype.kind in _KINDS[kind]


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether an operation on a dtype, or on that of an array, and on `to` computes in `to`.

    >>> minidl.can_cast("int64", "float32"), minidl.can_cast("float32", "int64")
    (True, False)
    """
    start, target = dtype_of(getattr(from_, "dtype", from_), "can_cast"), dtype_of(to, "can_cast")
    try:
        return promote(start, target) == target
    except DTypeError:
        return False
