"""Rotary position embedding: pairs of features, rotated by angles that grow with the position."""

from minidl.autograd.primitive import primitive
from minidl.checks import check_flags
from minidl.errors import ShapeError


@primitive(wide=True)
def rotary_embedding(xp, x, cos, sin, /, *, interleaved=False):
    """(y₁, y₂) = (x₁·cos − x₂·sin, x₂·cos + x₁·sin) for pairs of features (x₁, x₂) of x.

    dx₁ = dy₁·cos + dy₂·sin,   dx₂ = dy₂·cos − dy₁·sin,   dcos = Σ dy₁·x₁ + dy₂·x₂,
    dsin = Σ dy₂·x₁ − dy₁·x₂.

    x              (…, L, features)
    cos, sin       (…, L, n), of the angles of n pairs; features from 2·n on are left as they are
    interleaved    pair i is features 2·i and 2·i + 1, as in the paper and in GPT-J; else features
                   i and n + i, as in GPT-NeoX and Llama

    `nn.RotaryEmbedding` has the angles.  Su et al. 2021, arXiv:2104.09864.

    >>> cos, sin = minidl.tensor([0.0]), minidl.tensor([1.0])  # a quarter turn
    >>> minidl.rotary_embedding(minidl.tensor([[1.0, 2.0, 7.0]]), cos, sin)
    Tensor([[-2.,  1.,  7.]], shape=(1, 3), float32)
    """
    check_flags("rotary_embedding", interleaved=interleaved)
    if not cos.ndim or cos.shape != sin.shape or 2 * cos.shape[-1] > (x.shape or (0,))[-1]:
        raise ShapeError(
            "needs cos and sin of one shape, (…, L, n), and x (…, L, ≥ 2·n); got x "
            f"{x.shape}, cos {cos.shape} and sin {sin.shape}"
        )
    n = cos.shape[-1]

    def pullback(dy):
        x1, x2, _ = _pairs(x, n, interleaved)
        dy1, dy2, rest = _pairs(dy, n, interleaved)
        dx = _joined(xp, dy1 * cos + dy2 * sin, dy2 * cos - dy1 * sin, rest, interleaved)
        dcos = xp.xmuly(dy1, x1) + xp.xmuly(dy2, x2)
        return dx, dcos, xp.xmuly(dy2, x1) - xp.xmuly(dy1, x2)

    x1, x2, rest = _pairs(x, n, interleaved)
    return _joined(xp, x1 * cos - x2 * sin, x2 * cos + x1 * sin, rest, interleaved), pullback


def _pairs(x, n, interleaved):
    """The first and the second features of n pairs, and the features after them."""
    if interleaved:
        return x[..., 0 : 2 * n : 2], x[..., 1 : 2 * n : 2], x[..., 2 * n :]
    return x[..., :n], x[..., n : 2 * n], x[..., 2 * n :]


def _joined(xp, first, second, rest, interleaved):
    """The features of `_pairs` in their places."""
    if interleaved:
        pairs = xp.stack([first, second], axis=-1)
        parts = [xp.reshape(pairs, (*first.shape[:-1], 2 * first.shape[-1]))]
    else:
        parts = [first, second]
    return xp.concat([*parts, rest] if rest.shape[-1] else parts, axis=-1)
