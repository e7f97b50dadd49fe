"""Choices drawn so that they can be differentiated."""

from minidl.autograd.primitive import composite
from minidl.errors import check_flags
from minidl.ops.axes import one_axis
from minidl.ops.settings import check_positive

__all__ = ["gumbel_softmax"]


@composite
def gumbel_softmax(xp, x, /, tau=1.0, hard=False, *, axis=-1, key):
    """y = softmax((x + g) / tau) along the axis, with g = −log(−log u) of uniform u.

    The largest is element i with probability softmax(x)ᵢ.

    hard    y = 1 for the largest and 0 for the others, with the gradient of the soft y
    key     (seed, offset) of the random numbers, as `Generator.key` gives

    Jang, Gu, Poole 2017; Maddison, Mnih, Teh 2017.

    >>> minidl.gumbel_softmax(minidl.zeros(4), hard=True, key=(0, 0))
    Tensor([0., 0., 1., 0.], float32)
    """
    check_positive(tau=tau)
    check_flags(hard=hard)
    axis = one_axis(x, axis)
    noise = -xp.log(-xp.log(xp.uniform_like(x, key)))
    y = xp.softmax((x + noise) / tau, axis=axis)
    if not hard:
        return y
    order = xp.argsort(xp.argsort(y, axis=axis), axis=axis)
    chosen = xp.astype(order == x.shape[axis] - 1, y.dtype)
    return chosen.detach() - y.detach() + y
