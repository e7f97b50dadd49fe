"""What a number is made of: its sign, its whole part, its neighbours, its real and imaginary parts.

Only real numbers have derivatives here; of complex ones these functions give constants.
"""

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import NUMBER


@primitive(NUMBER)
def positive(xp, x, /):
    """y = x, a copy;   dx = dy."""
    return xp.astype(x, x.dtype), lambda dy: dy


@composite
def reciprocal(xp, x, /):
    """y = 1/x;   dx = −dy·y²."""
    return xp.divide(1, x)


@primitive
def copysign(xp, x1, x2, /):
    """z = |x₁| with the sign of x₂, which may be that of a zero;   dx₁ = ±dz, and 0 at 0."""
    z = xp.copysign(x1, x2)
    return z, (lambda dz: dz * (xp.sign(x1) * xp.sign(z)), None)


@primitive
def signbit(xp, x, /):
    """Whether x is negative, −0.0 included."""
    return xp.signbit(x), None


@primitive
def nextafter(xp, x1, x2, /):
    """The number of this dtype that comes after x₁ on the way to x₂."""
    return xp.nextafter(x1, x2), None


@primitive(NUMBER)
def trunc(xp, x, /):
    """The integer next to x on the side of 0."""
    return xp.trunc(x), None


@primitive(NUMBER)
def real(xp, x, /):
    """y = Re x;   dx = dy of real x."""
    return xp.real(x), lambda dy: dy


@primitive(NUMBER)
def imag(xp, x, /):
    """Im x: 0 of real x."""
    return xp.imag(x) if x.dtype.kind == "c" else xp.zeros_like(x), None


@primitive(NUMBER)
def conj(xp, x, /):
    """y = Re x − i·Im x;   dx = dy of real x."""
    return xp.conj(x), lambda dy: dy
