"""Softmax and its relatives, along an axis."""

from minidl.autograd.primitive import composite, primitive
from minidl.checks import check_flags, check_numbers
from minidl.ops.axes import one_axis
from minidl.ops.casting import floats


def _largest(xp, x, axis):
    """The maximum, which is subtracted so that exp does not overflow; 0 if x is empty."""
    return (xp.max if x.size else xp.sum)(x, axis=axis, keepdims=True)


@primitive
def softmax(xp, x, /, *, axis=-1):
    """yᵢ = exp xᵢ / Σⱼ exp xⱼ;   dx = y·(dy − Σ dy·y).

    The sums are along the axis, or over all elements if it is None.  Bridle 1990.

    >>> minidl.softmax(minidl.tensor([[0.0, 0.0], [1000.0, 0.0]]))
    Tensor([[0.5, 0.5],
            [1. , 0. ]], shape=(2, 2), float32)
    >>> minidl.softmax(minidl.tensor([[0.0, 0.0], [1000.0, 0.0]]), axis=0)
    Tensor([[0. , 0.5],
            [1. , 0.5]], shape=(2, 2), float32)
    """
    e = xp.exp(x - _largest(xp, x, axis))
    y = e / xp.sum(e, axis=axis, keepdims=True)

    def dx(dy):
        return xp.xmuly(dy - xp.sum(xp.xmuly(dy, y), axis=axis, keepdims=True), y)

    return y, dx


@primitive
def log_softmax(xp, x, /, *, axis=-1):
    """yᵢ = xᵢ − log Σⱼ exp xⱼ;   dx = dy − exp(y)·Σ dy.

    The sums are along the axis, or over all elements if it is None.

    >>> minidl.log_softmax(minidl.tensor([0.0, 1000.0]))  # exp and log by themselves overflow
    Tensor([-1000.,     0.], float32)
    """
    shifted = x - _largest(xp, x, axis)
    y = shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))
    return y, lambda dy: dy - xp.xmuly(xp.sum(dy, axis=axis, keepdims=True), xp.exp(y))


@composite
def softmin(xp, x, /, *, axis=-1):
    """yᵢ = exp(−xᵢ) / Σⱼ exp(−xⱼ).

    >>> minidl.softmin(minidl.tensor([1.0, 1.0, 5.0]))
    Tensor([0.49546..., 0.49546..., 0.0090747...], float32)
    """
    return xp.softmax(-floats(xp, x), axis=axis)


@composite
def gumbel_softmax(xp, x, /, tau=1.0, hard=False, *, axis=-1, key):
    """y = softmax((x + g) / tau) along the axis, with g = −log(−log u) of uniform u.

    The argmax is i with probability softmax(x)ᵢ.

    hard    y = 1 at the argmax, else 0, with the gradient of the soft y (straight-through)
    key     (seed, offset) of the random numbers, as `Generator.key` gives

    Jang, Gu, Poole 2017; Maddison, Mnih, Teh 2017.

    >>> minidl.gumbel_softmax(minidl.zeros(4), hard=True, key=(0, 0))
    Tensor([0., 0., 1., 0.], float32)
    """
    check_numbers("gumbel_softmax", above=0, tau=tau)
    check_flags("gumbel_softmax", hard=hard)
    axis = one_axis(x, axis)
    noise = -xp.log(-xp.log(xp.uniform_like(x, key)))
    y = xp.softmax((x + noise) / tau, axis=axis)
    if not hard:
        return y
    order = xp.argsort(xp.argsort(y, axis=axis), axis=axis)
    chosen = xp.astype(order == x.shape[axis] - 1, y.dtype)
    return chosen.detach() - y.detach() + y
