"""Trigonometric and hyperbolic functions, their inverses, and polar coordinates."""

from minidl.autograd.primitive import primitive
from minidl.dtypes import ORDERED_REAL


@primitive(of_complex=True)
def sin(xp, x, /):
    """y = sin x;   dx = dy·cos x.

    >>> minidl.sin(minidl.tensor([0.0, minidl.pi / 6]))
    Tensor([0. , 0.5], float32)
    >>> minidl.grad(minidl.sin)(minidl.tensor(0.0))
    Tensor(1., float32)
    """
    return xp.sin(x), lambda dy: xp.xmuly(dy, xp.cos(x))


@primitive(of_complex=True)
def cos(xp, x, /):
    """y = cos x;   dx = −dy·sin x.

    >>> minidl.cos(minidl.tensor([0.0, minidl.pi]))
    Tensor([ 1., -1.], float32)
    >>> minidl.grad(minidl.grad(minidl.cos))(minidl.tensor(0.0))
    Tensor(-1., float32)
    """
    return xp.cos(x), lambda dy: -xp.xmuly(dy, xp.sin(x))


@primitive(of_complex=True)
def tan(xp, x, /):
    """y = tan x;   dx = dy·(1 + y²).

    >>> minidl.tan(minidl.tensor([0.0, minidl.pi / 4]))
    Tensor([0., 1.], float32)
    """
    y = xp.tan(x)
    return y, lambda dy: xp.xmuly(dy, 1 + y * y)


@primitive(of_complex=True)
def asin(xp, x, /):
    """y = arcsin x;   dx = dy / √(1 − x²).

    >>> minidl.asin(minidl.tensor([0.0, 1.0, 2.0]))
    Tensor([0.       , 1.5707...,       nan], float32)
    """
    return xp.asin(x), lambda dy: xp.xdivy(dy, xp.sqrt((1 - x) * (1 + x)))


@primitive(of_complex=True)
def acos(xp, x, /):
    """y = arccos x;   dx = −dy / √(1 − x²).

    >>> minidl.acos(minidl.tensor([1.0, 0.0, -1.0]))
    Tensor([0.       , 1.5707..., 3.1415...], float32)
    """
    return xp.acos(x), lambda dy: -xp.xdivy(dy, xp.sqrt((1 - x) * (1 + x)))


@primitive(of_complex=True)
def atan(xp, x, /):
    """y = arctan x;   dx = dy / (1 + x²).

    >>> minidl.atan(minidl.tensor([0.0, 1.0, float("inf")]))
    Tensor([0.       , 0.78539..., 1.5707...], float32)
    """
    return xp.atan(x), lambda dy: xp.xdivy(dy, 1 + x * x)


@primitive(ORDERED_REAL)
def atan2(xp, x1, x2, /):
    """z = the angle of the point (x₂, x₁), in [−π, π];   dx₁ = dz·x₂/r²,   dx₂ = −dz·x₁/r².

    r² = x₁² + x₂², which is not computed, since it may overflow.  At the origin both are 0.

    >>> minidl.atan2(minidl.tensor([1.0, 0.0, -1.0]), minidl.tensor([1.0, -1.0, -1.0]))  # radians
    Tensor([ 0.78539...,  3.1415..., -2.3561...], float32)
    """

    def over_square(x):
        r = xp.hypot(x1, x2)
        return xp.xdivy(xp.xdivy(x, r), r)

    pullbacks = (
        lambda dz: xp.xmuly(dz, over_square(x2)),
        lambda dz: -xp.xmuly(dz, over_square(x1)),
    )
    return xp.atan2(x1, x2), pullbacks


@primitive(ORDERED_REAL)
def hypot(xp, x1, x2, /):
    """z = √(x₁² + x₂²), without overflow;   dx₁ = dz·x₁/z,   dx₂ = dz·x₂/z, and 0 at the origin.

    >>> minidl.hypot(minidl.tensor([3.0, 3e30]), minidl.tensor([4.0, 4e30]))
    Tensor([5.e+00, 5.e+30], float32)
    """
    z = xp.hypot(x1, x2)
    pullbacks = (
        lambda dz: xp.xmuly(dz, xp.xdivy(x1, z)),
        lambda dz: xp.xmuly(dz, xp.xdivy(x2, z)),
    )
    return z, pullbacks


@primitive(of_complex=True)
def sinh(xp, x, /):
    """y = sinh x;   dx = dy·cosh x.

    >>> minidl.sinh(minidl.tensor([0.0, 1.0]))
    Tensor([0.       , 1.1752...], float32)
    """
    return xp.sinh(x), lambda dy: xp.xmuly(dy, xp.cosh(x))


@primitive(of_complex=True)
def cosh(xp, x, /):
    """y = cosh x;   dx = dy·sinh x.

    >>> minidl.cosh(minidl.tensor([0.0, 1.0]))
    Tensor([1.       , 1.5430...], float32)
    """
    return xp.cosh(x), lambda dy: xp.xmuly(dy, xp.sinh(x))


@primitive(of_complex=True)
def tanh(xp, x, /):
    """y = tanh x;   dx = dy·(1 − y²).

    >>> minidl.tanh(minidl.tensor([-100.0, 0.0, 0.5]))
    Tensor([-1.       ,  0.       ,  0.46211...], float32)
    """
    y = xp.tanh(x)
    return y, lambda dy: xp.xmuly(dy, 1 - y * y)


@primitive(of_complex=True)
def acosh(xp, x, /):
    """y = arcosh x ≥ 0;   dx = dy / (√(x − 1)·√(x + 1)), for complex x too.

    >>> minidl.acosh(minidl.tensor([1.0, 2.0, 0.5]))
    Tensor([0.      , 1.3169...,      nan], float32)
    """
    return xp.acosh(x), lambda dy: xp.xdivy(dy, xp.sqrt(x - 1) * xp.sqrt(x + 1))


@primitive(of_complex=True)
def asinh(xp, x, /):
    """y = arsinh x;   dx = dy / √(x² + 1).

    >>> minidl.asinh(minidl.tensor([0.0, 1.0]))
    Tensor([0.       , 0.88137...], float32)
    """

    def dx(dy):
        # x² may overflow; hypot does not, and knows no complex numbers.
        return xp.xdivy(dy, xp.sqrt(x * x + 1) if x.dtype.kind == "c" else xp.hypot(x, 1))

    return xp.asinh(x), dx


@primitive(of_complex=True)
def atanh(xp, x, /):
    """y = artanh x;   dx = dy / (1 − x²).

    >>> minidl.atanh(minidl.tensor([0.0, 0.5, 1.0]))
    Tensor([0.        , 0.54930...,        inf], float32)
    """
    return xp.atanh(x), lambda dy: xp.xdivy(dy, (1 - x) * (1 + x))
