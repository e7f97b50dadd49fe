"""Discrete Fourier transforms, offered as `minidl.fft`.

Each transform is a product with a matrix.  That of `fft` and of `ifft` is symmetric, so each is its
own transpose, and the pullback of a transform is the same transform of dy: dy as in the graph,
where complex gradients are not conjugated (see minidl.autograd.engine).  In more
dimensions, one axis after the other is transformed.

J. W. Cooley, J. W. Tukey 1965, An algorithm for the machine calculation of complex Fourier series.
"""

from minidl.autograd.primitive import composite, primitive
from minidl.checks import is_integer
from minidl.dtypes import float16, float32
from minidl.errors import ArgumentError, AxisError, DTypeError, ShapeError, describe
from minidl.ops.arrangement import roll
from minidl.ops.axes import one_axis

# A factor that goes before the transform in one direction goes before its inverse in the other.
_INVERSE_NORM = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _checked_norm(norm):
    if not isinstance(norm, str) or norm not in _INVERSE_NORM:
        raise ArgumentError(f"norm is {', '.join(map(repr, _INVERSE_NORM))}; got {describe(norm)}")
    return norm


def _length(x, n, axis, of_half=False):
    """The number of points: n, or the length of the axis (of_half: 2·(length − 1))."""
    if n is None:
        n = x.shape[axis]
        n = 2 * (n - 1) if of_half else n
        if n < 1:
            raise ShapeError(
                f"axis {axis} of shape {x.shape} is too short to be transformed; n says how many "
                "points to take, with zeros for those that are missing"
            )
    if not is_integer(n):
        raise ArgumentError(f"n is an integer; got {describe(n)}")
    if n < 1:
        raise ArgumentError(f"n is how many points to transform, ≥ 1; got {n}")
    return int(n)


def _widened(xp, x):
    """float16 as float32, since there is no smaller complex dtype."""
    return xp.astype(x, float32) if x.dtype == float16 else x


def _resize(xp, x, length, axis):
    """x truncated or zero-padded along the axis."""
    before = (slice(None),) * axis
    if x.shape[axis] >= length:
        return x[(*before, slice(0, length))]
    shape = [*x.shape]
    shape[axis] = length
    return xp.scatter_at(x, (*before, slice(0, x.shape[axis])), tuple(shape))


def _transformed(xp, transform, x, n, axis, norm):
    """The transform of x, whose matrix is symmetric, and its pullback: the same of dy."""
    axis, norm = one_axis(x, axis), _checked_norm(norm)
    settings = {"n": _length(x, n, axis), "axis": axis, "norm": norm}
    y = transform(_widened(xp, x), **settings)
    return y, lambda dy: _resize(xp, transform(dy, **settings), x.shape[axis], axis)


@primitive(of_complex=True)
def fft(xp, x, /, *, n=None, axis=-1, norm="backward"):
    """y_k = Σ_j x_j·e^(−2πi·jk/n) along the axis;   dx = the fft of dy.

    x       real or complex; y is complex: complex64 of float32
    n       how many points: x is cut, or zeros are added behind it; default: all of the axis
    norm    what y is divided by: "backward", nothing; "ortho", √n; "forward", n
    gives   y of the shape of x, with length n along the axis; element k belongs to the frequency
            that `fftfreq` gives

    >>> wave = minidl.cos(2 * minidl.pi * minidl.arange(4) / 4)  # once around
    >>> minidl.real(minidl.fft.fft(wave)).round()
    Tensor([-0.,  2.,  0.,  2.], float32)
    """
    return _transformed(xp, xp.fft, x, n, axis, norm)


@primitive(of_complex=True)
def ifft(xp, x, /, *, n=None, axis=-1, norm="backward"):
    """y_j = Σ_k x_k·e^(2πi·jk/n) / n along the axis, the inverse of `fft`;   dx = that of dy.

    n, norm    as for `fft`, of which "backward" is inverted by "backward", and so on

    >>> x = minidl.tensor([1.0, 2.0, 4.0])
    >>> minidl.real(minidl.fft.ifft(minidl.fft.fft(x)))
    Tensor([1., 2., 4.], float32)
    """
    return _transformed(xp, xp.ifft, x, n, axis, norm)


@primitive(of_complex=True)
def rfft(xp, x, /, *, n=None, axis=-1, norm="backward"):
    """The first ⌊n/2⌋ + 1 elements of fft(x), of real x;   dx = Re fft(dy, n).

    The rest of fft(x) is their conjugates: y_(n−k) = y_k*.

    n, norm    as for `fft`

    >>> minidl.fft.rfft(minidl.tensor([1.0, 2.0, 3.0, 4.0]))
    Tensor([10.+0.j, -2.+2.j, -2.+0.j], complex64)
    """
    axis, norm = one_axis(x, axis), _checked_norm(norm)
    if x.dtype.kind == "c":
        raise DTypeError(f"needs real numbers: fft takes complex ones; got {describe(x)}")
    n = _length(x, n, axis)

    def dx(dy):
        return _resize(xp, xp.fft(dy, n=n, axis=axis, norm=norm), x.shape[axis], axis)

    return xp.rfft(_widened(xp, x), n=n, axis=axis, norm=norm), dx


@primitive(of_complex=True)
def irfft(xp, x, /, *, n=None, axis=-1, norm="backward"):
    """y_j = Re Σ_k w_k·x_k·e^(2πi·jk/n) / n;   dx_k = w_k·(rfft(dy)_k)* / n.

    The inverse of `rfft`.  w_k is 2 for the elements that represent two of fft(y), and 1 for x_0
    and, if n is even, x_(n/2), whose imaginary parts do not matter.

    n       how many points y has; default: 2·(m − 1) of m, so that of an odd number it must be said
    norm    as for `fft`

    >>> x = minidl.tensor([1.0, 2.0, 4.0])
    >>> minidl.fft.irfft(minidl.fft.rfft(x), n=3)
    Tensor([1., 2., 4.], float32)
    """
    axis, norm = one_axis(x, axis), _checked_norm(norm)
    n = _length(x, n, axis, of_half=True)

    def dx(dy):
        half = xp.conj(xp.rfft(dy, n=n, axis=axis, norm=_INVERSE_NORM[norm]))
        before, stop = (slice(None),) * axis, (n + 1) // 2
        parts = (half[(*before, slice(a, b))] for a, b in ((0, 1), (1, stop), (stop, None)))
        single, double, last = parts
        weighted = xp.concat([single, 2 * double, last], axis=axis)
        return _resize(xp, weighted, x.shape[axis], axis)

    # NumPy reads the first element even of an empty axis.
    full = x if x.shape[axis] else _resize(xp, x, 1, axis)
    return xp.irfft(_widened(xp, full), n=n, axis=axis, norm=norm), dx


@composite
def hfft(xp, x, /, *, n=None, axis=-1, norm="backward"):
    """y = irfft(x*)·n: the real fft of a Hermitian-symmetric signal.

    x       its first half, ⌊n/2⌋ + 1 elements
    n       how many points y has; default: 2·(m − 1) of m
    norm    as for `fft`

    >>> minidl.fft.hfft(minidl.tensor([10 + 0j, -2 - 2j, -2 + 0j]))
    Tensor([ 4.,  8., 12., 16.], float32)
    """
    return xp.irfft(xp.conj(x), n=n, axis=axis, norm=_INVERSE_NORM[_checked_norm(norm)])


@composite
def ihfft(xp, x, /, *, n=None, axis=-1, norm="backward"):
    """y = rfft(x)* / n, of real x: the inverse of `hfft`.

    n, norm    as for `fft`

    >>> minidl.fft.ihfft(minidl.tensor([4.0, 8.0, 12.0, 16.0]))
    Tensor([10.-0.j, -2.-2.j, -2.-0.j], complex64)
    """
    return xp.conj(xp.rfft(x, n=n, axis=axis, norm=_INVERSE_NORM[_checked_norm(norm)]))


def _lengths(x, s, axes):
    """The axes and, for each, how many points to transform, or None where s does not say."""
    for what, given in (("s", s), ("axes", axes)):
        if given is not None and not isinstance(given, list | tuple):
            raise ArgumentError(f"{what} is a tuple of integers; got {describe(given)}")
    if s is not None and len(s) > x.ndim and axes is None:
        raise ShapeError(f"s={s} has more lengths than shape {x.shape} has axes")
    if axes is None:
        axes = range(x.ndim) if s is None else range(x.ndim - len(s), x.ndim)
    axes = [one_axis(x, axis) for axis in axes]
    if len({*axes}) < len(axes):
        raise AxisError(f"an axis is named twice in {axes}")
    if not axes:
        raise ShapeError(f"needs at least one axis to transform; shape {x.shape}, axes {axes}")
    s = [None] * len(axes) if s is None else [_length(x, n, 0) for n in s]
    if len(s) != len(axes):
        raise ShapeError(f"s={tuple(s)} has a length for each of axes {axes}")
    return axes, s


@composite
def fftn(xp, x, /, *, s=None, axes=None, norm="backward"):
    """`fft` along each of the axes.

    s       how many points along each; default: all of each axis
    axes    default: all, or, with s, the last len(s)
    norm    as for `fft`, for each axis

    >>> minidl.fft.fftn(minidl.ones((2, 2)))
    Tensor([[4.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j]], shape=(2, 2), complex64)
    """
    for axis, n in zip(*_lengths(x, s, axes), strict=True):
        x = xp.fft(x, n=n, axis=axis, norm=norm)
    return x


@composite
def ifftn(xp, x, /, *, s=None, axes=None, norm="backward"):
    """`ifft` along each of the axes: the inverse of `fftn`, with the same arguments.

    >>> impulse = minidl.tensor([[4.0, 0.0], [0.0, 0.0]])
    >>> minidl.real(minidl.fft.ifftn(impulse))  # every frequency, equally strong
    Tensor([[1., 1.],
            [1., 1.]], shape=(2, 2), float32)
    """
    for axis, n in zip(*_lengths(x, s, axes), strict=True):
        x = xp.ifft(x, n=n, axis=axis, norm=norm)
    return x


@composite
def rfftn(xp, x, /, *, s=None, axes=None, norm="backward"):
    """`rfft` along the last of the axes, then `fft` along the others.  Of real x.

    s, axes, norm    as for `fftn`

    >>> minidl.fft.rfftn(minidl.ones((4, 6))).shape
    (4, 4)
    """
    axes, s = _lengths(x, s, axes)
    x = xp.rfft(x, n=s[-1], axis=axes[-1], norm=norm)
    for axis, n in zip(axes[:-1], s[:-1], strict=True):
        x = xp.fft(x, n=n, axis=axis, norm=norm)
    return x


@composite
def irfftn(xp, x, /, *, s=None, axes=None, norm="backward"):
    """`ifft` along all but the last of the axes, then `irfft` along that: the inverse of `rfftn`.

    s       how many points the result has along each; default: all of each axis, and 2·(m − 1) of
            the m along the last
    axes    default: all, or, with s, the last len(s)

    >>> x = minidl.ones((4, 5))
    >>> minidl.fft.irfftn(minidl.fft.rfftn(x), s=(4, 5)).shape
    (4, 5)
    """
    axes, s = _lengths(x, s, axes)
    for axis, n in zip(axes[:-1], s[:-1], strict=True):
        x = xp.ifft(x, n=n, axis=axis, norm=norm)
    return xp.irfft(x, n=s[-1], axis=axes[-1], norm=norm)


def _shift_axes(x, axes):
    """The axes to shift: all, one, or several."""
    if axes is None:
        return list(range(x.ndim))
    return [one_axis(x, axis) for axis in (axes if isinstance(axes, list | tuple) else [axes])]


@composite
def fftshift(xp, x, /, *, axes=None):
    """x with the frequency 0 moved from the front to the middle: element ⌊n/2⌋ of each axis.

    axes    an int or several; default: all

    >>> minidl.fft.fftshift(minidl.fft.fftfreq(5, d=0.2))
    Tensor([-2., -1., 0., 1., 2.], float32)
    """
    axes = _shift_axes(x, axes)
    return roll(x, tuple(x.shape[axis] // 2 for axis in axes), axis=tuple(axes)) if axes else x


@composite
def ifftshift(xp, x, /, *, axes=None):
    """The inverse of `fftshift`, from which it differs where a length is odd.

    >>> minidl.fft.ifftshift(minidl.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]))
    Tensor([ 0.,  1.,  2., -2., -1.], float32)
    """
    axes = _shift_axes(x, axes)
    return roll(x, tuple(-(x.shape[axis] // 2) for axis in axes), axis=tuple(axes)) if axes else x
