"""Elementary functions that LLVM makes vector instructions of.

Inside a Numba loop, `np.exp` is a call into the mathematical library for every single element.  The
functions here are plain arithmetic, so a loop over them runs eight or sixteen elements at a time.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_F = np.float32
_LOG2_E = _F(1.44269504)
# ln 2 in two parts: the first has so few bits that n·LN2_HIGH is exact (Cody, Waite 1980).
_LN2_HIGH, _LN2_LOW = _F(0.693359375), _F(-2.12194440e-4)
_LARGEST, _LEAST = _F(88.72283), _F(-87.33654)


@intrinsic
def _float_of_bits(_: Any, bits: Any) -> Any:
    """The float32 that has these 32 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@njit(inline="always")
def exp32(x: Any) -> Any:
    """eˣ for a float32, within 1.01 units in the last place; 0 where it would be denormal.

    With n the integer nearest to x / ln 2 and r = x − n·ln 2, which lies in ±ln 2 / 2,

        eˣ = 2ⁿ·eʳ        eʳ ≈ 1 + r + r²·(c₀ + c₁r + … + c₅r⁵)

    (the polynomial is that of Cephes' expf, S. Moshier 1989).  2ⁿ is written into the exponent
    bits, in two halves, since 2¹²⁸ is no float32 but 2·2¹²⁷ may be needed on the way.
    """
    within = min(max(x, _LEAST), _LARGEST)
    n = np.floor(within * _LOG2_E + _F(0.5))
    r = within - n * _LN2_HIGH - n * _LN2_LOW
    p = _F(1.9875691500e-4)
    p = p * r + _F(1.3981999507e-3)
    p = p * r + _F(8.3334519073e-3)
    p = p * r + _F(4.1665795894e-2)
    p = p * r + _F(1.6666665459e-1)
    p = p * r + _F(5.0000001201e-1)
    y = p * (r * r) + r + _F(1)
    half = np.int32(n) >> np.int32(1)
    rest = np.int32(n) - half
    scale = _float_of_bits(np.int32((half + np.int32(127)) << np.int32(23)))
    y = y * scale * _float_of_bits(np.int32((rest + np.int32(127)) << np.int32(23)))
    y = _F(np.inf) if x > _LARGEST else y
    y = _F(0) if x < _LEAST else y
    return x if x != x else y
