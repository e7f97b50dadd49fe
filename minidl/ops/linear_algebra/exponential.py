"""The exponential of a matrix, by scaling and squaring."""

from minidl.autograd.primitive import composite
from minidl.dtypes import float16, float32
from minidl.errors import DTypeError, describe
from minidl.ops.creation import eye
from minidl.ops.linear_algebra.matrix import check_square

# The coefficients of the numerator of the Padé approximant [13/13] of eˣ, those of x⁰, x¹, …; the
# denominator has them with alternating signs.  Up to the 1-norm _LARGEST it is exact in float64.
_PADE = (
    *(64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000),
    *(10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1),
)
_LARGEST = 5.371920351148152


@composite
def matrix_exp(xp, x, /):
    """eˣ = 1 + x + x²/2! + x³/3! + … of square matrices (…, n, n).

    Scaling and squaring: eˣ is the 2ˢ-th power of e^(x/2ˢ), a Padé approximant, with an s for each
    matrix.  N. Higham 2005, The scaling and squaring method for the matrix exponential revisited.

    >>> turn = minidl.tensor([[0.0, -1.0], [1.0, 0.0]])
    >>> minidl.linalg.matrix_exp(turn * minidl.pi / 2).round()  # a rotation by 90°
    Tensor([[-0., -1.],
            [ 1., -0.]], shape=(2, 2), float32)
    """
    check_square(x)
    if x.dtype.kind not in "fc":
        raise DTypeError(f"matrix_exp: needs floating-point numbers; got {describe(x)}")
    if x.dtype == float16:
        return xp.astype(xp.matrix_exp(xp.astype(x, float32)), float16)
    if not x.size:
        return xp.copy(x)
    halvings = _halvings(xp, x)
    y = _pade(xp, x * 2.0**-halvings)
    for step in range(int(halvings.max().item())):
        y = xp.where(halvings > step, y @ y, y)
    return y


def _halvings(xp, x):
    """How often each matrix is halved until its 1-norm is below _LARGEST: (…, 1, 1), a constant."""
    norm = xp.max(xp.sum(xp.abs(x.detach()), axis=-2), axis=-1)
    times = xp.ceil(xp.log2(xp.maximum(norm / _LARGEST, 1)))
    times = xp.where(xp.isfinite(times), times, 0)  # of NaN and ∞ nothing comes anyway
    return xp.expand_dims(times, axis=(-2, -1))


def _pade(xp, x):
    """The approximant of e^x, whose even powers the numerator and the denominator share."""
    b = [coefficient / _PADE[0] for coefficient in _PADE]  # so that nothing overflows
    one = eye(x.shape[-1], dtype=x.dtype, device=x.device)
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    odd = x6 @ (b[13] * x6 + b[11] * x4 + b[9] * x2)
    odd = x @ (odd + b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * one)
    even = x6 @ (b[12] * x6 + b[10] * x4 + b[8] * x2)
    even = even + b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * one
    return xp.solve(even - odd, even + odd)
