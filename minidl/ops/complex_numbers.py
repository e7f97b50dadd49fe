"""Real and imaginary parts, and the complex conjugate.

`real`, `imag` and `conj` are linear in Re x and Im x, but not holomorphic.  Their dy and dx are
those of the graph, ∂L/∂Re − i·∂L/∂Im; see minidl.autograd.engine.
"""

from minidl.autograd.primitive import primitive
from minidl.dtypes import NUMBER


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
