"""Linear layers: affine and bilinear maps."""

from minidl.autograd.primitive import composite
from minidl.errors import ShapeError


@composite(wide=True)
def linear(xp, x, weight, bias=None, /):
    """y = x·Wᵀ + b over the last axis;   dx = dy·W,   dW = dyᵀ·x,   db = Σ dy.

    x: (…, in), weight: (out, in), bias: (out,), y: (…, out).

    >>> x, weight, bias = minidl.ones((2, 3)), minidl.ones((4, 3)), minidl.arange(4.0)
    >>> minidl.linear(x, weight, bias)
    Tensor([[3., 4., 5., 6.],
            [3., 4., 5., 6.]], shape=(2, 4), float32)
    """
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"needs x of shape (…, in) and weight (out, in); got {x.shape} and {weight.shape}"
        )
    y = x @ weight.T
    return y if bias is None else y + bias


@composite(wide=True)
def bilinear(xp, x1, x2, weight, bias=None, /):
    """yₖ = x₁ᵀ·Wₖ·x₂ + bₖ over the last axes.

    x₁: (…, in₁), x₂: (…, in₂), weight: (out, in₁, in₂), bias: (out,), y: (…, out).

    >>> x1, x2 = minidl.ones((7, 3)), minidl.ones((7, 4))
    >>> minidl.bilinear(x1, x2, minidl.ones((5, 3, 4))).shape
    (7, 5)
    """
    fits = weight.ndim == 3 and x1.shape[-1:] + x2.shape[-1:] == weight.shape[1:]
    if not fits or x1.shape[:-1] != x2.shape[:-1]:
        raise ShapeError(
            "needs x1 of shape (…, in1), x2 (…, in2) and weight (out, in1, in2); got "
            f"{x1.shape}, {x2.shape} and {weight.shape}"
        )
    out, in1, in2 = weight.shape
    columns = xp.reshape(xp.permute_dims(weight, (1, 0, 2)), (in1, out * in2))
    rows = xp.reshape(xp.matmul(x1, columns), (*x1.shape[:-1], out, in2))
    y = xp.squeeze(rows @ xp.expand_dims(x2, axis=-1), -1)
    return y if bias is None else y + bias
