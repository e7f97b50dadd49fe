"""What a number is made of: its sign, its whole part, its neighbours, its real and imaginary parts.

`real`, `imag` and `conj` are linear in Re x and Im x, but not holomorphic.  Their dy and dx are
what travels through the graph of complex numbers, ∂L/∂Re − i·∂L/∂Im; see minidl.autograd.engine.
"""

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import NUMBER


@primitive(NUMBER, of_complex=True)
def positive(xp, x, /):
    """y = x, a copy;   dx = dy.

    >>> minidl.positive(minidl.tensor([-1.5, 2.0]))
    Tensor([-1.5,  2. ], float32)
    """
    return xp.astype(x, x.dtype), lambda dy: dy


@composite
def reciprocal(xp, x, /):
    """y = 1/x;   dx = −dy·y².

    >>> minidl.reciprocal(minidl.tensor([4.0, -0.5, 0.0]))
    Tensor([ 0.25, -2.  ,   inf], float32)
    """
    return xp.divide(1, x)


@primitive
def copysign(xp, x1, x2, /):
    """z = |x₁| with the sign of x₂, which may be that of a zero;   dx₁ = ±dz, and 0 at 0.

    >>> minidl.copysign(minidl.tensor([1.0, -2.0]), minidl.tensor([-0.0, 3.0]))
    Tensor([-1.,  2.], float32)
    """
    z = xp.copysign(x1, x2)
    return z, (lambda dz: dz * (xp.sign(x1) * xp.sign(z)), None)


@primitive
def signbit(xp, x, /):
    """Whether x is negative, −0.0 included.

    >>> minidl.signbit(minidl.tensor([-2.0, -0.0, 0.0]))
    Tensor([ True,  True, False], bool)
    """
    return xp.signbit(x), None


@primitive
def nextafter(xp, x1, x2, /):
    """The number of this dtype that comes after x₁ on the way to x₂.

    >>> minidl.nextafter(minidl.tensor(1.0), 2.0) - 1 == minidl.finfo("float32").eps
    Tensor(True, bool)
    """
    return xp.nextafter(x1, x2), None


@primitive(NUMBER)
def trunc(xp, x, /):
    """The integer next to x on the side of 0.

    >>> minidl.trunc(minidl.tensor([1.7, -1.7]))
    Tensor([ 1., -1.], float32)
    """
    return xp.trunc(x), None


@primitive(NUMBER, of_complex=True)
def real(xp, x, /):
    """y = Re x;   dx = dy.  Of real x, x.

    >>> minidl.real(minidl.tensor([1 + 2j, 3]))
    Tensor([1., 3.], float32)
    """
    return xp.real(x), lambda dy: dy


@primitive(NUMBER, of_complex=True)
def imag(xp, x, /):
    """y = Im x;   dx = −i·dy.  Of real x, 0, a constant.

    >>> minidl.imag(minidl.tensor([1 + 2j, 3]))
    Tensor([2., 0.], float32)
    """
    if x.dtype.kind != "c":
        return xp.zeros_like(x), None
    return xp.imag(x), lambda dy: -1j * dy


@primitive(NUMBER, of_complex=True)
def conj(xp, x, /):
    """y = x* = Re x − i·Im x;   dx = dy*.  Of real x, a copy.

    >>> minidl.conj(minidl.tensor([1 + 2j, 3]))
    Tensor([1.-2.j, 3.-0.j], complex64)
    """
    return xp.conj(x), lambda dy: xp.conj(dy)
