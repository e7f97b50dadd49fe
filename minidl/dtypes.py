"""Data types, and the type promotion table: in which dtype an operation computes.

The dtypes are NumPy's, which every array library that minidl runs on shares.  The table:

    same kind                the larger of the two, as in the array API standard
    bool, with anything      the other one
    integer, with float      the float's dtype, however small (int64 and float32 give float32)
    float, with complex      the complex dtype that holds both
    uint64, with signed      an error: no integer holds both
    Python or NumPy scalar   adopts the array's dtype, unless its kind is higher; then the default
                             dtype of that kind: int64, float32, complex64
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from minidl.errors import DTypeError

bool_ = np.dtype("bool")  # `minidl.bool`
int8, int16, int32, int64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
float16, float32, float64 = (np.dtype(f"float{bits}") for bits in (16, 32, 64))
complex64, complex128 = np.dtype("complex64"), np.dtype("complex128")

default_float = float32
_KIND = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}
_SCALARS: tuple[type, ...] = (bool, int, float, complex)
_DEFAULT = (bool_, int64, default_float, complex64)


class Rule(NamedTuple):
    """What an operation requires of the dtypes of its inputs, before its body runs."""

    lowest: int  # inputs of a lower kind are refused, or promoted
    lifts: bool  # inputs below `lowest` become its default dtype
    needs: str
    highest: int = 3  # inputs of a higher kind are refused


REAL = Rule(2, True, "numbers")  # exp, mean, divide, …: integers become float32
_REALS = "real numbers: complex ones have no order"
ORDERED_REAL = Rule(2, True, _REALS, 2)  # relu, softplus, …
NUMBER = Rule(1, False, "numbers (a bool is none: astype first, or use logical_and, logical_or)")
ORDERED_NUMBER = Rule(1, False, _REALS, 2)  # maximum, minimum
ANY = Rule(0, False, "one dtype")
ORDERED = Rule(0, False, _REALS, 2)  # less, greater, …


def dtype_of(value: Any, name: str = "dtype") -> np.dtype:
    """`value` ("float32", numpy.float32, float, …) as one of the dtypes above."""
    try:
        if value is None:  # which NumPy reads as float64
            raise TypeError
        dtype = np.dtype(value)
    except TypeError:
        raise DTypeError(f"{name}: {value!r} is not a dtype; one is minidl.float32") from None
    if dtype.kind not in _KIND or dtype.itemsize > 8 << (dtype.kind == "c"):
        raise DTypeError(f"{name}: no arrays of {dtype}; use bool, an integer or a float dtype")
    return np.dtype(dtype.type)  # the one object of that dtype, in native byte order


@cache
def promote(first: np.dtype, second: np.dtype) -> np.dtype:
    """The dtype of the table above for two arrays."""
    kinds = _KIND[first.kind], _KIND[second.kind]
    if kinds[0] == kinds[1] or kinds == (2, 3) or kinds == (3, 2):
        joint = np.promote_types(first, second)
        if _KIND[joint.kind] > max(kinds):
            raise DTypeError(
                f"no integer dtype holds both {first} and {second}: astype one of them"
            )
        return joint
    return first if kinds[0] > kinds[1] else second


@cache
def promote_weak(dtype: np.dtype | None, scalar: type) -> np.dtype:
    """The dtype of the table above for arrays of `dtype` (None: no array) with a Python scalar."""
    kind = _SCALARS.index(scalar)
    if dtype is None:
        return _DEFAULT[kind]
    if kind > _KIND[dtype.kind]:
        return complex128 if dtype == float64 and kind == 3 else _DEFAULT[kind]
    return dtype


@cache
def satisfy(rule: Rule, dtype: np.dtype) -> np.dtype:
    """`dtype` if `rule` allows it, or the dtype that it is promoted to, or an error."""
    if rule.lowest <= _KIND[dtype.kind] <= rule.highest:
        return dtype
    if rule.lifts and _KIND[dtype.kind] < rule.lowest:
        return _DEFAULT[rule.lowest]
    raise DTypeError(f"needs {rule.needs}; got {dtype}")


def result_type(*values: Any) -> np.dtype:
    """The dtype that an operation on these arrays, dtypes and Python scalars computes in.

    >>> minidl.result_type("int64", "float32"), minidl.result_type(minidl.ones(2), 2)
    (dtype('float32'), dtype('float32'))
    """
    scalars: list[Any] = [type(v) for v in values if type(v) in _SCALARS]
    dtype: np.dtype | None = None
    for value in values:
        if type(value) not in scalars:
            own = dtype_of(getattr(value, "dtype", value), "result_type")
            dtype = own if dtype is None else promote(dtype, own)
    for scalar in scalars:
        dtype = promote_weak(dtype, scalar)
    if dtype is None:
        raise DTypeError("result_type needs at least one array, dtype or scalar")
    return dtype


def is_float(dtype: np.dtype) -> bool:
    """Whether `dtype` is real floating point, as parameters are."""
    return dtype.kind == "f"
