"""Elementary functions of float32 that LLVM vectorises: exp, log, sigmoid, tanh, erf.

Inside a compiled loop, `np.exp` calls the mathematical library for every single element.  The
functions here are branch-free arithmetic, so that a loop over them runs LANES elements at a time:
both sides of every `if … else` are computed, and one is selected.  The conditions are such that NaN
selects the side on which it propagates.

**Method.**  Range reduction to a small interval, after W. Cody and W. Waite (Software Manual for
the Elementary Functions, 1980), then a polynomial in Horner's form.  Where no source is given, the
polynomial is the minimax one on its interval, found by iteratively reweighted least squares on
Chebyshev nodes (C. Lawson 1961); the coefficients are rounded to float32 one after the other, and
the remaining ones fitted anew each time.

**Accuracy.**  All of float32 is covered: infinities, NaN, denormal numbers and signed zeros.
Errors are given in ulp, units in the last place of the exact result: the largest over all 2³²
arguments, in loops compiled as the kernels are, where a product and a sum are contracted to a fused
multiply-add.  Processors without one (below x86-64-v3) round more often: expm1_32 is within 1.57
ulp there, sigmoid32 within 1.82, erf32 within 1.33, and the others as given.

**Cost.**  For LANES elements, from about 25 vector instructions (exp) to about 45 (erf); no tables.
"""

from typing import Any

import numpy as np
from llvmlite import ir

from minidl.backends.kernels.runtime.kernel import inlined, intrinsic, reassociating

_F, _I = np.float32, np.int32
_INF, _NAN = _F(np.inf), _F(np.nan)
_ONE, _HALF = _F(1), _F(0.5)
_LOG2_E = _F(1.44269504)
# ln 2 in two parts; the first has so few bits that n·LN2_HIGH is exact (Cody and Waite 1980).
_LN2_HIGH, _LN2_LOW = _F(0.693359375), _F(-2.12194440e-4)
_25_LN2 = _F(17.328679513998633)
_EXP_MIN = _F(-103.97208)  # below, eˣ rounds to 0
_SHIFT = _F(1.5 * 2**23)  # added to x, it leaves the nearest integer in the last bits
_SIGN, _MANTISSA, _ROOT_HALF = _I(-(2**31)), _I(0x007FFFFF), _I(0x3F3504F3)  # the bits of √½


@intrinsic("i32 -> f32")
def _float_of_bits(builder: Any, bits: Any) -> Any:
    """The float32 that has these 32 bits."""
    return builder.bitcast(bits, ir.FloatType())


@intrinsic("f32 -> i32")
def _bits_of_float(builder: Any, x: Any) -> Any:
    """The 32 bits of a float32, as an integer."""
    return builder.bitcast(x, ir.IntType(32))


@inlined
def _power_of_two(n: Any) -> Any:
    """2ⁿ for −126 ≤ n ≤ 127, written into the exponent bits."""
    return _float_of_bits(_I((n + _I(127)) << _I(23)))


@inlined
def _with_sign(y: Any, x: Any) -> Any:
    """y ≥ 0 with the sign of x, also that of −0."""
    return _float_of_bits(_bits_of_float(y) | (_bits_of_float(x) & _SIGN))


@inlined
def _exponential_parts(x: Any) -> Any:
    """n, as an integer, and p with eˣ = 2ⁿ·(1 + p), for |x| < 10⁶.

    With n the integer nearest to x / ln 2, and r = x − n·ln 2 in [−ln 2 / 2, ln 2 / 2],

        p = eʳ − 1 ≈ r + r²·(c₀ + c₁r + … + c₅r⁵)

    (the polynomial of Cephes' expf, S. Moshier 1989).  Adding 1.5·2²³ rounds a float32 to the
    nearest integer, and leaves this integer in the last bits of the sum.
    """
    shifted = x * _LOG2_E + _SHIFT
    n = shifted - _SHIFT
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = _F(1.9875691500e-4)
    p = p * r + _F(1.3981999507e-3)
    p = p * r + _F(8.3334519073e-3)
    p = p * r + _F(4.1665795894e-2)
    p = p * r + _F(1.6666665459e-1)
    p = p * r + _F(5.0000001201e-1)
    return _I(_bits_of_float(shifted) - _bits_of_float(_SHIFT)), p * (r * r) + r


@inlined
def _exp_within(x: Any) -> Any:
    """eˣ for −87 ≤ x ≤ 88, where 2ⁿ is normal: n is added to the exponent bits of 1 + p."""
    n, p = _exponential_parts(x)
    return _float_of_bits(_I(_bits_of_float(p + _ONE) + (n << _I(23))))


@inlined
def exp32(x: Any) -> Any:
    """eˣ for a float32, within 1.02 ulp.

    eˣ = 2ⁿ·(1 + p), scaled by 2ⁿ in two factors, so that a denormal result is rounded once, and one
    that is too large becomes ∞.  Where eˣ rounds to 0, e⁰ is computed instead: a processor takes a
    hundred times as long for denormal numbers.
    """
    within = _F(89) if x > _F(89) else x
    n, p = _exponential_parts(_F(0) if x < _EXP_MIN else within)
    half = n >> _I(1)
    y = (p + _ONE) * _power_of_two(half) * _power_of_two(n - half)
    return _F(0) if x < _EXP_MIN else y


@inlined
def expm1_32(x: Any) -> Any:
    """eˣ − 1 for a float32, within 1.45 ulp.

    eˣ − 1 = 2·(2ⁿ⁻¹·p + (2ⁿ⁻¹ − ½)), where n = 0 leaves p; near 0 it is x itself.
    """
    within = _F(-18) if x < _F(-18) else x
    n, p = _exponential_parts(_F(89) if x > _F(89) else within)
    scale = _power_of_two(n - _I(1))
    y = _F(2) * (p * scale + (scale - _HALF))
    return x if abs(x) < _F(2**-26) else y


@inlined
def _logarithm(x: Any, rest: Any) -> Any:
    """log x + rest for a normal x > 0, and a rest that is small compared with x − 1, or with 1.

    With x = 2ⁿ·m, m between √½ and √2, and f = m − 1,

        log x = n·ln 2 + f − f²/2 + f³·(c₀ + c₁f + … + c₇f⁷)
    """
    shifted = _bits_of_float(x) - _ROOT_HALF
    n = _F(shifted >> _I(23))
    f = _float_of_bits(_I((shifted & _MANTISSA) + _ROOT_HALF)) - _ONE
    p = _F(-0.0763639957)
    p = p * f + _F(0.127621993)
    p = p * f + _F(-0.131596133)
    p = p * f + _F(0.142015815)
    p = p * f + _F(-0.166234091)
    p = p * f + _F(0.200012416)
    p = p * f + _F(-0.250008196)
    p = p * f + _F(0.333333313)
    square = f * f
    small = p * f * square + (n * _LN2_LOW + rest) - _HALF * square
    return small + f + n * _LN2_HIGH


@inlined
def log32(x: Any) -> Any:
    """The natural logarithm of a float32, within 0.86 ulp; −∞ at ±0, NaN below."""
    denormal = x < _F(2**-126)
    y = _logarithm(x * _F(2**25) if denormal else x, _F(0))
    y = y - _25_LN2 if denormal else y
    y = y if x > _F(0) else _NAN
    y = -_INF if x == _F(0) else y
    return y if x < _INF else x


@inlined
def log1p_32(x: Any) -> Any:
    """log(1 + x) for a float32, within 0.87 ulp; −∞ at −1, NaN below.

    With u = 1 + x rounded, log(1 + x) = log u + (x − (u − 1)) / u: the second term restores what
    rounding lost.
    """
    u = _ONE + x
    y = _logarithm(u, (x - (u - _ONE)) / u)
    y = y if x > _F(-1) else _NAN
    y = -_INF if x == _F(-1) else y
    y = y if abs(x) > _F(2**-26) else x
    return y if x < _INF else x


@inlined
def sigmoid32(x: Any) -> Any:
    """1 / (1 + e⁻ˣ) for a float32, within 1.65 ulp.

    With e = exp(−|x|) ≤ 1, it is 1 / (1 + e) for x ≥ 0, and e / (1 + e) for x < 0: computed as
    e − e·(e / (1 + e)), where the rounding error of the quotient is scaled down by e.
    """
    e = exp32(-abs(x))
    quotient = (e if x < _F(0) else _ONE) / (_ONE + e)
    return e - e * quotient if x < _F(0) else quotient


@inlined
def gate32(x: Any) -> Any:
    """1 / (1 + e⁻ˣ) for a float32, within 2.5 ulp, in two thirds of the time; 0 below −87.

    For gates, by which other numbers are multiplied.
    """
    t = _F(87) if x < _F(-87) else -x
    y = _ONE / (_ONE + _exp_within(_F(-87) if x > _F(87) else t))
    below = _F(0) if x < _F(-87) else x
    return y if x >= _F(-87) else below


@inlined
def tanh32(x: Any) -> Any:
    """The hyperbolic tangent of a float32, within 1.4 ulp.

    With t = |x|:  t + t³·(c₀ + c₁t² + … + c₄t⁸) for t ≤ 0.625, else 1 − 2 / (exp 2t + 1), which is
    1 for t ≥ 9.1.
    """
    t = abs(x)
    square = t * t
    p = _F(-0.0056922962)
    p = p * square + _F(0.0206281673)
    p = p * square + _F(-0.0537365153)
    p = p * square + _F(0.133314058)
    p = p * square + _F(-0.333332807)
    near = p * square * t + t
    e = _exp_within(_F(2) * (_F(9.1) if t > _F(9.1) else t))
    far = _ONE - _F(2) / (e + _ONE)
    return _with_sign(far if t > _F(0.625) else near, x)


@inlined
def erf32(x: Any) -> Any:
    """2/√π ∫₀ˣ exp(−t²) dt for a float32, within 1.12 ulp.

    With t = |x|:  t + t·q(t²) for t ≤ 0.92, else 1 − exp(−g(t)), which is 1 for t ≥ 4; q and g are
    polynomials of degree 5 and 6.
    """
    t = abs(x)
    square = t * t
    q = _F(-0.000600380125)
    q = q * square + _F(0.00499585364)
    q = q * square + _F(-0.0267685801)
    q = q * square + _F(0.11281877)
    q = q * square + _F(-0.376125008)
    q = q * square + _F(0.128379151)
    near = q * t + t
    s = _F(4) if t > _F(4) else t
    g = _F(-0.000195937973)
    g = g * s + _F(0.00304322573)
    g = g * s + _F(-0.0222269576)
    g = g * s + _F(0.103931673)
    g = g * s + _F(0.637182176)
    g = g * s + _F(1.12767565)
    g = g * s + _F(0.000195674322)
    far = _ONE - _exp_within(-g)
    return _with_sign(far if t > _F(0.92) else near, x)


@inlined
def xmuly32(x1: Any, x2: Any) -> Any:
    """x₁·x₂, and 0 where x₁ is 0, whatever x₂ is."""
    return _F(0) if x1 == _F(0) else x1 * x2


# Reductions of a vector.


@reassociating
def sum32(x: Any) -> Any:
    """Σ x, in any order: in several partial sums side by side."""
    total = _F(0)
    for i in range(x.size):
        total += x[i]
    return total


@reassociating
def wide_sum32(x: Any) -> Any:
    """Σ x: sums of four, far apart so that they vectorise, are added up in float64."""
    quarter = x.size // 4
    x1, x2, x3 = x[quarter:], x[2 * quarter :], x[3 * quarter :]
    total = 0.0
    for i in range(quarter):
        total += (x[i] + x1[i]) + (x2[i] + x3[i])
    for i in range(4 * quarter, x.size):
        total += x[i]
    return _F(total)


@reassociating
def wide_dot32(x: Any, y: Any) -> Any:
    """Σ x·y, added up in float64, and rounded once."""
    total = 0.0
    for i in range(x.size):
        total += np.float64(x[i]) * np.float64(y[i])
    return _F(total)


@inlined
def max32(x: Any) -> Any:
    """The largest element; NaN, or the largest of the others, if there is a NaN.

    Floats are compared as integers, which LLVM vectorises: with the bits of negative ones inverted,
    they are in the same order.
    """
    largest = _I(-(2**31))
    for i in range(x.size):
        bits = _bits_of_float(x[i])
        largest = max(largest, _ordered(bits))
    return _float_of_bits(_ordered(largest))


@inlined
def _ordered(bits: Any) -> Any:
    """The bits of a float as an integer in the same order, or back."""
    return bits ^ ((bits >> _I(31)) & _I(2**31 - 1))


@inlined
def exp_shifted32(x: Any, y: Any) -> Any:
    """y = exp(x − max x), the numerators of a softmax that cannot overflow; max x, and Σ y.

    NaN or +∞ among the x, or nothing but −∞, makes the sum NaN.
    """
    largest = max32(x)
    for i in range(x.size):
        y[i] = exp32(x[i] - largest)
    return largest, wide_sum32(y)
