"""Elementwise arithmetic with broadcasting: the place to start reading operations.

Every body computes a function and its derivative with `xp`, an array library.  It returns the value
and the pullback: one function for each input, which takes the gradient of the value to that of the
input.  `dy` is the gradient of the result y, `dx` that of the argument; functions of two arguments
have the result z.  The engine sums gradients over broadcast axes, and casts them to the dtype of
their input, so bodies do neither.

The argument of `primitive` says which dtypes are accepted (`minidl/dtypes.py`); without one, only
numbers, and integers become float32.  `of_complex`: the pullback holds for complex numbers too.

Masks are safe: a gradient of 0 stays 0, even where the slope f′(x) is ∞ or NaN, as it may be in
what a `where` discards; and NaN stays NaN.  So a pullback dy·f′(x) is `xmuly(dy, f′(x))`, and
dy/g(x) is `xdivy(dy, g(x))`.  Their own pullbacks, with `mul_zero`, keep this up in all orders:
where dy is 0, nothing depends on f′(x).  Operations that select pass dy to what they selected, and
0 to the rest, whatever dy is.
"""

from minidl.autograd.primitive import composite, primitive
from minidl.dtypes import NUMBER, ORDERED_NUMBER
from minidl.ops.casting import cast, float_of, scale_of_gap, widened
from minidl.ops.creation import asarray


@primitive(NUMBER, of_complex=True)
def add(xp, x1, x2, /):
    """z = x₁ + x₂;   dx₁ = dz,   dx₂ = dz.

    >>> minidl.add(minidl.tensor([[1], [2]]), minidl.tensor([10.0, 20.0]))  # broadcast, promoted
    Tensor([[11., 21.],
            [12., 22.]], shape=(2, 2), float32)
    """
    return x1 + x2, (lambda dz: dz, lambda dz: dz)


@primitive(NUMBER, of_complex=True)
def subtract(xp, x1, x2, /):
    """z = x₁ − x₂;   dx₁ = dz,   dx₂ = −dz.

    >>> minidl.subtract(minidl.tensor([3, 5]), 1)
    Tensor([2, 4], int64)
    """
    return x1 - x2, (lambda dz: dz, lambda dz: -dz)


@primitive(NUMBER, of_complex=True)
def multiply(xp, x1, x2, /):
    """z = x₁·x₂;   dx₁ = dz·x₂,   dx₂ = dz·x₁.

    >>> x = minidl.tensor([2.0, 3.0], requires_grad=True)
    >>> minidl.multiply(x, minidl.tensor([[5.0], [7.0]])).sum().backward()
    >>> x.grad  # summed over the rows that x was broadcast to
    Tensor([12., 12.], float32)
    """
    return x1 * x2, (lambda dz: xp.xmuly(dz, x2), lambda dz: xp.xmuly(dz, x1))


@primitive(of_complex=True)
def divide(xp, x1, x2, /):
    """z = x₁/x₂;   dx₁ = dz/x₂,   dx₂ = −dz·z/x₂.

    Where dz is 0, so is the gradient, even if x₂ is 0: masked quotients are safe.

    >>> minidl.divide(minidl.tensor([1, 2]), 4)  # integers give float32
    Tensor([0.25, 0.5 ], float32)
    >>> minidl.divide(minidl.tensor([1.0, -1.0, 0.0]), 0)
    Tensor([ inf, -inf,  nan], float32)
    """
    z = xp.divide(x1, x2)
    return z, (lambda dz: xp.xdivy(dz, x2), lambda dz: -xp.xmuly(dz, xp.divide(z, x2)))


@primitive(NUMBER, of_complex=True)
def pow(xp, x1, x2, /):
    """z = x₁^x₂;   dx₁ = dz·x₂·x₁^(x₂−1),   dx₂ = dz·z·log x₁.

    At x₂ = 0, dx₁ is 0; at x₁ = 0 ≤ x₂, dx₂ is 0.  Integers with a negative power are an
    ArgumentError.

    >>> minidl.pow(minidl.tensor([2.0, 9.0]), minidl.tensor([3.0, 0.5]))
    Tensor([8., 3.], float32)
    >>> minidl.grad(lambda x: minidl.pow(x, 0))(minidl.tensor(0.0))  # 0, not 0·0⁻¹ = NaN
    Tensor(0., float32)
    """
    z = xp.pow(x1, x2)

    def dx2(dz):
        flat = xp.logical_and(x1 == 0, xp.real(x2) >= 0)
        return xp.xmuly(dz, xp.where(flat, 0, xp.xlogy(z, x1)))

    return z, (lambda dz: xp.xmuly(dz, x2 * xp.pow(x1, x2 - (x2 != 0))), dx2)


@primitive(NUMBER, of_complex=True)
def positive(xp, x, /):
    """y = x, a copy;   dx = dy.

    >>> minidl.positive(minidl.tensor([-1.5, 2.0]))
    Tensor([-1.5,  2. ], float32)
    """
    return xp.astype(x, x.dtype), lambda dy: dy


@primitive(NUMBER, of_complex=True)
def negative(xp, x, /):
    """y = −x;   dx = −dy.

    >>> minidl.negative(minidl.tensor([1.5, -2.0]))
    Tensor([-1.5,  2. ], float32)
    """
    return -x, lambda dy: -dy


@primitive(NUMBER, of_complex=True)
def abs(xp, x, /):
    """y = |x|;   dx = dy·sign x, which is 0 at 0; for complex x, dy·(sign x)*.

    >>> x = minidl.tensor([-3.0, 0.0, 2.0], requires_grad=True)
    >>> minidl.gradients(abs(x).sum(), [x])
    (Tensor([-1.,  0.,  1.], float32),)
    >>> minidl.abs(minidl.tensor([3 + 4j]))
    Tensor([5.], float32)
    """

    def dx(dy):
        direction = xp.sign(x)
        return xp.xmuly(dy, xp.conj(direction) if x.dtype.kind == "c" else direction)

    return xp.abs(x), dx


@primitive(NUMBER, of_complex=True)
def square(xp, x, /):
    """y = x²;   dx = 2x·dy.

    >>> minidl.square(minidl.tensor([-3.0, 0.5]))
    Tensor([9.  , 0.25], float32)
    """
    return x * x, lambda dy: xp.xmuly(dy, 2 * x)


@primitive(of_complex=True)
def sqrt(xp, x, /):
    """y = √x;   dx = dy / 2y, and 0 where dy is 0, even at x = 0.

    >>> minidl.sqrt(minidl.tensor([4.0, 2.0, -1.0]))
    Tensor([2.       , 1.4142...,       nan], float32)
    >>> minidl.grad(lambda x: minidl.where(x > 0, minidl.sqrt(x), 0))(minidl.tensor(0.0))
    Tensor(0., float32)
    """
    y = xp.sqrt(x)
    return y, lambda dy: xp.xdivy(dy, 2 * y)


@composite
def reciprocal(xp, x, /):
    """y = 1/x;   dx = −dy·y².

    >>> minidl.reciprocal(minidl.tensor([4.0, -0.5, 0.0]))
    Tensor([ 0.25, -2.  ,   inf], float32)
    """
    return xp.divide(1, x)


@primitive(ORDERED_NUMBER)
def floor_divide(xp, x1, x2, /):
    """z = ⌊x₁/x₂⌋, a constant.  For integers, z = 0 where x₂ = 0, as in NumPy.

    For infinities z is ⌊x₁/x₂⌋ too, as in the array API standard: ∞ // 2 = ∞ and −1 // ∞ = −0.0,
    where Python and NumPy give NaN and −1.

    >>> minidl.floor_divide(minidl.tensor([7, -7]), 2)
    Tensor([ 3, -4], int64)
    """
    return xp.floor_divide(x1, x2), None


@primitive(ORDERED_NUMBER)
def remainder(xp, x1, x2, /):
    """z = x₁ − x₂·⌊x₁/x₂⌋, with the sign of x₂;   dx₁ = dz,   dx₂ = −dz·⌊x₁/x₂⌋.

    >>> minidl.remainder(minidl.tensor([7, -7]), 3), minidl.remainder(minidl.tensor([7, -7]), -3)
    (Tensor([1, 2], int64), Tensor([-2, -1], int64))
    """
    z = xp.remainder(x1, x2)

    def dx2(dz):
        # z rounds to x₂ where x₁ is tiny beside x₂ and has the other sign.
        return -xp.xmuly(dz, xp.where(z == x2, -1, xp.floor_divide(x1, x2)))

    return z, (lambda dz: dz, dx2)


@primitive(ORDERED_NUMBER)
def fmod(xp, x1, x2, /):
    """z = x₁ − x₂·trunc(x₁/x₂), with the sign of x₁, as in C;   dx₁ = dz,   dx₂ = −dz·trunc(x₁/x₂).

    `remainder` has the sign of x₂.

    >>> minidl.fmod(minidl.tensor([7, -7]), 3), minidl.fmod(minidl.tensor([7, -7]), -3)
    (Tensor([ 1, -1], int64), Tensor([ 1, -1], int64))
    """
    z = xp.remainder(x1, x2)
    if z.dtype.kind == "f":
        z = xp.remainder(x1, xp.copysign(x2, x1))  # where both have one sign, both remainders agree
    else:
        z = xp.where(xp.logical_and(z != 0, xp.logical_xor(x1 < 0, x2 < 0)), z - x2, z)

    def dx2(dz):
        return -xp.xmuly(dz, xp.round(xp.divide(x1 - z, x2)))

    return z, (lambda dz: dz, dx2)


@primitive(of_complex=True)
def xdivy(xp, x1, x2, /):
    """z = x₁/x₂, and 0 where x₁ is 0;   dx₁ = dz/x₂,   dx₂ = −dz·z/x₂.

    >>> xdivy(minidl.tensor([0.0, 1.0]), minidl.tensor([0.0, 2.0]))
    Tensor([0. , 0.5], float32)
    """
    z = xp.xdivy(x1, x2)
    return z, (lambda dz: xp.xdivy(dz, x2), lambda dz: -xp.mul_zero(dz, xp.xdivy(z, x2)))


@primitive(of_complex=True)
def xmuly(xp, x1, x2, /):
    """z = x₁·x₂, and 0 where x₁ is 0, whatever x₂ is;   dx₁ = dz·x₂,   dx₂ = dz·x₁.

    >>> xmuly(minidl.tensor([0.0, 0.0, 2.0]), minidl.tensor([float("inf"), float("nan"), 3.0]))
    Tensor([0., 0., 6.], float32)
    """
    return xp.xmuly(x1, x2), (lambda dz: xp.xmuly(dz, x2), lambda dz: xp.mul_zero(dz, x1))


@primitive(of_complex=True)
def mul_zero(xp, x1, x2, /):
    """z = x₁·x₂, and 0 where either is 0, whatever the other is;   dx₁ = dz·x₂,   dx₂ = dz·x₁.

    >>> mul_zero(minidl.tensor([0.0, float("nan")]), minidl.tensor([float("nan"), 0.0]))
    Tensor([0., 0.], float32)
    """
    return xp.mul_zero(x1, x2), (lambda dz: xp.mul_zero(dz, x2), lambda dz: xp.mul_zero(dz, x1))


@primitive(of_complex=True)
def xlogy(xp, x1, x2, /):
    """z = x₁·log x₂, and 0 where x₁ is 0;   dx₁ = dz·log x₂,   dx₂ = dz·x₁/x₂.

    At x₁ = 0 = x₂ both are 0.

    >>> minidl.xlogy(minidl.tensor([0.0, 1.0]), minidl.tensor([0.0, 4.0]))  # an entropy has 0·log 0
    Tensor([0.       , 1.3862...], float32)
    """

    def dx1(dz):
        corner = xp.logical_and(x1 == 0, x2 == 0)
        return xp.where(corner, xp.xmuly(dz, 0), xp.xlogy(dz, x2))

    return xp.xlogy(x1, x2), (dx1, lambda dz: xp.mul_zero(dz, xp.xdivy(x1, x2)))


@composite(wide=True)
def lerp(xp, x1, x2, weight, /):
    """z = x₁ + weight·(x₂ − x₁): x₁ at weight 0, x₂ at weight 1.

    >>> minidl.lerp(minidl.tensor([0.0, 10.0]), minidl.tensor([1.0, 20.0]), 0.25)
    Tensor([ 0.25, 12.5 ], float32)
    """
    dtype = float_of(x1, x2, weight)
    device = next((x.device for x in (x1, x2, weight) if hasattr(x, "edge")), None)
    numbers = [
        x if hasattr(x, "dtype") else asarray(x, dtype=dtype, device=device) for x in (x1, x2)
    ]
    x1, x2 = [widened(xp, x) for x in numbers]
    scale = scale_of_gap(xp, x1, x2)
    gap = x2 * scale - x1 * scale
    z = xp.where(weight < 0.5, x1 * scale + weight * gap, x2 * scale - (1 - weight) * gap)
    return cast(xp, z / scale, dtype)
