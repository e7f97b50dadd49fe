"""The methods of Tensor that compute each element by itself, as type checkers see them.

See `tensor_methods.py`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minidl.autograd.tensor import Tensor
    from minidl.autograd.tensor_operators import Operand


class ElementwiseMethods:
    """The declarations; `minidl.ops` attaches what they declare."""

    __slots__ = ()

    if TYPE_CHECKING:

        def abs(self, /) -> Tensor:
            """|x|."""

        def square(self, /) -> Tensor:
            """x²."""

        def sqrt(self, /) -> Tensor:
            """√x."""

        def exp(self, /) -> Tensor:
            """eˣ."""

        def log(self, /) -> Tensor:
            """The natural logarithm."""

        def sin(self, /) -> Tensor:
            """Of radians."""

        def cos(self, /) -> Tensor:
            """Of radians."""

        def tanh(self, /) -> Tensor:
            """(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)."""

        def clip(self, /, min: Any = None, max: Any = None) -> Tensor:
            """x, but at least `min` and at most `max`."""

        def floor(self, /) -> Tensor:
            """The largest integer that is not greater."""

        def round(self, /) -> Tensor:
            """The nearest integer, halves to even."""

        def relu(self, /) -> Tensor:
            """max(x, 0)."""

        def sigmoid(self, /) -> Tensor:
            """1 / (1 + e⁻ˣ)."""

        def add(self, x2: Operand, /) -> Tensor:
            """x₁ + x₂."""

        def subtract(self, x2: Operand, /) -> Tensor:
            """x₁ − x₂."""

        def multiply(self, x2: Operand, /) -> Tensor:
            """x₁·x₂."""

        def divide(self, x2: Operand, /) -> Tensor:
            """x₁/x₂."""

        def floor_divide(self, x2: Operand, /) -> Tensor:
            """⌊x₁/x₂⌋."""

        def remainder(self, x2: Operand, /) -> Tensor:
            """x₁ − x₂·⌊x₁/x₂⌋, with the sign of x₂."""

        def fmod(self, x2: Operand, /) -> Tensor:
            """x₁ − x₂·trunc(x₁/x₂), with the sign of x₁."""

        def pow(self, x2: Operand, /) -> Tensor:
            """x₁ to the power of x₂."""

        def negative(self, /) -> Tensor:
            """−x."""

        def reciprocal(self, /) -> Tensor:
            """1/x."""

        def lerp(self, x2: Operand, weight: Operand, /) -> Tensor:
            """x₁ + weight·(x₂ − x₁)."""

        def expm1(self, /) -> Tensor:
            """eˣ − 1, exact near 0."""

        def log1p(self, /) -> Tensor:
            """log(1 + x), exact near 0."""

        def log2(self, /) -> Tensor:
            """The logarithm to the base 2."""

        def log10(self, /) -> Tensor:
            """The logarithm to the base 10."""

        def logaddexp(self, x2: Operand, /) -> Tensor:
            """log(e^x₁ + e^x₂), without overflow."""

        def xlogy(self, x2: Operand, /) -> Tensor:
            """x₁·log x₂, and 0 where x₁ is 0."""

        def tan(self, /) -> Tensor:
            """Of radians."""

        def asin(self, /) -> Tensor:
            """In [−π/2, π/2]."""

        def acos(self, /) -> Tensor:
            """In [0, π]."""

        def atan(self, /) -> Tensor:
            """In (−π/2, π/2)."""

        def atan2(self, x2: Operand, /) -> Tensor:
            """The angle of the point (x₂, x₁)."""

        def sinh(self, /) -> Tensor:
            """(eˣ − e⁻ˣ) / 2."""

        def cosh(self, /) -> Tensor:
            """(eˣ + e⁻ˣ) / 2."""

        def asinh(self, /) -> Tensor:
            """The inverse of sinh."""

        def acosh(self, /) -> Tensor:
            """The inverse of cosh."""

        def atanh(self, /) -> Tensor:
            """The inverse of tanh."""

        def hypot(self, x2: Operand, /) -> Tensor:
            """√(x₁² + x₂²), without overflow."""

        def ceil(self, /) -> Tensor:
            """The smallest integer that is not less."""

        def trunc(self, /) -> Tensor:
            """The integer part."""

        def sign(self, /) -> Tensor:
            """−1, 0 or 1."""

        def signbit(self, /) -> Tensor:
            """Whether it is negative, −0.0 included."""

        def copysign(self, x2: Operand, /) -> Tensor:
            """|x₁| with the sign of x₂."""

        def nextafter(self, x2: Operand, /) -> Tensor:
            """The next representable number after x₁ towards x₂."""

        def maximum(self, x2: Operand, /) -> Tensor:
            """The larger of two; NaN if one is."""

        def minimum(self, x2: Operand, /) -> Tensor:
            """The smaller of two; NaN if one is."""

        def fmax(self, x2: Operand, /) -> Tensor:
            """The larger of two; the other one if one is NaN."""

        def fmin(self, x2: Operand, /) -> Tensor:
            """The smaller of two; the other one if one is NaN."""

        def nan_to_num(
            self, /, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
        ) -> Tensor:
            """With numbers for NaN, ∞ and −∞."""

        def erf(self, /) -> Tensor:
            """2/√π ∫₀ˣ exp(−t²) dt."""

        def erfc(self, /) -> Tensor:
            """1 − erf x."""

        def erfinv(self, /) -> Tensor:
            """The inverse of erf."""

        def lgamma(self, /) -> Tensor:
            """log |Γ(x)|."""

        def digamma(self, /) -> Tensor:
            """The derivative of log Γ(x)."""

        def polygamma(self, /, n: int) -> Tensor:
            """The n-th derivative of digamma."""

        def sinc(self, /) -> Tensor:
            """sin(πx) / (πx)."""

        def logit(self, /, eps: float | None = None) -> Tensor:
            """log(x / (1 − x))."""

        def isnan(self, /) -> Tensor:
            """Whether it is NaN."""

        def isinf(self, /) -> Tensor:
            """Whether it is ∞ or −∞."""

        def isfinite(self, /) -> Tensor:
            """Whether it is neither infinite nor NaN."""

        def isclose(
            self,
            x2: Operand,
            /,
            *,
            rtol: float = 1e-05,
            atol: float = 1e-08,
            equal_nan: bool = False,
        ) -> Tensor:
            """Whether |x₁ − x₂| ≤ atol + rtol·|x₂|."""

        def greater(self, x2: Operand, /) -> Tensor:
            """x₁ > x₂."""

        def greater_equal(self, x2: Operand, /) -> Tensor:
            """x₁ ≥ x₂."""

        def less(self, x2: Operand, /) -> Tensor:
            """x₁ < x₂."""

        def less_equal(self, x2: Operand, /) -> Tensor:
            """x₁ ≤ x₂."""

        def not_equal(self, x2: Operand, /) -> Tensor:
            """x₁ ≠ x₂."""

        def logical_and(self, x2: Operand, /) -> Tensor:
            """Whether both are true."""

        def logical_or(self, x2: Operand, /) -> Tensor:
            """Whether at least one is true."""

        def logical_xor(self, x2: Operand, /) -> Tensor:
            """Whether exactly one is true."""

        def logical_not(self, /) -> Tensor:
            """Whether it is false."""

        def bitwise_and(self, x2: Operand, /) -> Tensor:
            """The bits that are 1 in both."""

        def bitwise_or(self, x2: Operand, /) -> Tensor:
            """The bits that are 1 in at least one."""

        def bitwise_xor(self, x2: Operand, /) -> Tensor:
            """The bits that are 1 in exactly one."""

        def angle(self, /) -> Tensor:
            """The angle of a complex number, in radians."""

        def conj(self, /) -> Tensor:
            """The complex conjugate."""

        @property
        def real(self) -> Tensor:
            """The real part."""

        @property
        def imag(self) -> Tensor:
            """The imaginary part."""
