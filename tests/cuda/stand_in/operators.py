"""The operators of the stand-in's arrays."""

import operator
from typing import Any

import numpy as np

from tests.cuda.stand_in.arrays import _SCALARS, _UNSUPPORTED, check_devices, ndarray, new
from tests.cuda.stand_in.counters import counters

_COMPARISONS = "lt", "le", "gt", "ge", "eq", "ne"
_ARITHMETIC = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("lshift", "rshift", "and", "or", "xor"),
)


def _operator(name: str) -> Any:
    function = getattr(operator, f"{name}_" if name in ("and", "or") else name)

    def forward(self: ndarray, other: Any) -> Any:
        if isinstance(other, np.ndarray) and other.ndim:
            raise TypeError(_UNSUPPORTED.format(type(other)))
        if not isinstance(other, (ndarray, np.ndarray, *_SCALARS)):
            return NotImplemented
        check_devices((self, other))
        counters.launch(name)
        with np.errstate(all="ignore"):
            return new(function(self._a, other._a if isinstance(other, ndarray) else other))

    def reverse(self: ndarray, other: Any) -> Any:
        if isinstance(other, np.ndarray) and other.ndim:
            raise TypeError(_UNSUPPORTED.format(type(other)))
        if not isinstance(other, (np.ndarray, *_SCALARS)):
            return NotImplemented
        check_devices((self,))
        counters.launch(name)
        with np.errstate(all="ignore"):
            return new(function(other, self._a))

    return forward, reverse


def _in_place(name: str) -> Any:
    function = getattr(operator, f"i{name}")

    def change(self: ndarray, other: Any) -> Any:
        if isinstance(other, np.ndarray) and other.ndim:
            raise TypeError(_UNSUPPORTED.format(type(other)))
        if not isinstance(other, (ndarray, np.ndarray, *_SCALARS)):
            return NotImplemented
        check_devices((self, other))
        counters.launch(name)
        with np.errstate(all="ignore"):
            function(self._a, other._a if isinstance(other, ndarray) else other)
        return self

    return change


for _name in (*_COMPARISONS, *_ARITHMETIC):
    _forward, _reverse = _operator(_name)
    setattr(ndarray, f"__{_name}__", _forward)
    if _name not in _COMPARISONS:
        setattr(ndarray, f"__r{_name}__", _reverse)
        if _name != "matmul":
            setattr(ndarray, f"__i{_name}__", _in_place(_name))


def _unary(name: str) -> Any:
    function = getattr(operator, name)

    def apply(self: ndarray) -> Any:
        check_devices((self,))
        counters.launch(name)
        with np.errstate(all="ignore"):
            return new(function(self._a))

    return apply


for _name in ("neg", "pos", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", _unary(_name))
