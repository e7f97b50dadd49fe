"""Complex numbers: made of two real ones, their parts and angles, and the complex conjugate.

`real`, `imag` and `conj` are linear in Re x and Im x, but not holomorphic.  Their dy and dx are
those of the graph, ∂L/∂Re − i·∂L/∂Im; see minidl.autograd.engine.
"""

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import NUMBER, ORDERED_REAL
from minidl.errors import DTypeError, ShapeError, describe


@primitive(NUMBER, of_complex=True)
def real(xp, x, /):
    """y = Re x;   dx = dy.  For real x, x.

    >>> minidl.real(minidl.tensor([1 + 2j, 3]))
    Tensor([1., 3.], float32)
    """
    return xp.real(x), lambda dy: dy


@primitive(NUMBER, of_complex=True)
def imag(xp, x, /):
    """y = Im x;   dx = −i·dy.  For real x, 0, a constant.

    >>> minidl.imag(minidl.tensor([1 + 2j, 3]))
    Tensor([2., 0.], float32)
    """
    if x.dtype.kind != "c":
        return xp.zeros_like(x), None
    return xp.imag(x), lambda dy: -1j * dy


@primitive(NUMBER, of_complex=True)
def conj(xp, x, /):
    """y = x* = Re x − i·Im x;   dx = dy*.  For real x, a copy.

    >>> minidl.conj(minidl.tensor([1 + 2j, 3]))
    Tensor([1.-2.j, 3.-0.j], complex64)
    """
    return xp.conj(x), lambda dy: xp.conj(dy)


@primitive(ORDERED_REAL)
def complex(xp, x1, x2, /):
    """z = x₁ + i·x₂, also of infinities and NaN;   dx₁ = Re dz,   dx₂ = −Im dz.

    complex64 of float32 and below, complex128 of float64.

    >>> minidl.complex(minidl.tensor([1.0, 2.0]), minidl.tensor([0.5, float("inf")]))
    Tensor([1.+0.5j, 2.+infj], complex64)
    """
    return xp.complex(x1, x2), (lambda dz: xp.real(dz), lambda dz: -xp.imag(dz))


@composite
def polar(xp, x1, x2, /):
    """z = x₁·(cos x₂ + i·sin x₂): the number of absolute value x₁ and angle x₂, in radians.

    >>> minidl.polar(minidl.tensor([2.0]), minidl.tensor([0.0]))
    Tensor([2.+0.j], complex64)
    """
    return xp.complex(xp.multiply(x1, xp.cos(x2)), xp.multiply(x1, xp.sin(x2)))


@composite
def angle(xp, x, /):
    """The angle of x in radians, in [−π, π]; its gradient is 0 at 0.

    Of real numbers 0, or π if they are negative, −0.0 included: a constant, as in NumPy.

    >>> minidl.angle(minidl.tensor([1j, -1, 2 + 2j]))
    Tensor([1.5707..., 3.1415..., 0.7853...], float32)
    """
    return xp.atan2(xp.imag(x), xp.real(x))


@composite
def view_as_real(xp, x, /):
    """Re x and Im x of complex x (…) along a new last axis: (…, 2).  A copy, in spite of its name.

    >>> minidl.view_as_real(minidl.tensor([1 + 2j, 3]))
    Tensor([[1., 2.],
            [3., 0.]], shape=(2, 2), float32)
    """
    if x.dtype.kind != "c":
        raise DTypeError(f"view_as_real: needs complex numbers; got {describe(x)}")
    return xp.stack([xp.real(x), xp.imag(x)], axis=-1)


@composite
def view_as_complex(xp, x, /):
    """x[…, 0] + i·x[…, 1] of real x (…, 2): the inverse of `view_as_real`.  A copy.

    >>> minidl.view_as_complex(minidl.tensor([[1.0, 2.0], [3.0, 0.0]]))
    Tensor([1.+2.j, 3.+0.j], complex64)
    """
    if not x.ndim or x.shape[-1] != 2:
        raise ShapeError(f"view_as_complex: needs a last axis of two numbers; got {describe(x)}")
    return xp.complex(x[..., 0], x[..., 1])
