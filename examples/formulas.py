"""Four formulas of deep learning, written out in elementary operations and checked.

They are taken from the founding documents, the notes that this project began from, by number and
section.  Each appears three times: as the notes state it, as a few lines of elementary operations,
which minidl differentiates, and as the library's own function.  Values and gradients agree.

Run:  python examples/formulas.py
"""

from collections.abc import Callable

import numpy as np

import minidl
from minidl import Tensor


def gradient_descent() -> None:
    """000, section 1.3:  θₜ₊₁ = θₜ − α ∇J(θₜ)."""

    def cost(theta: Tensor) -> Tensor:
        return ((theta - 3) ** 2).sum()  # its minimum is at 3

    alpha, start = 0.1, minidl.tensor([0.0, 10.0], dtype="float64")
    by_hand = start
    for _ in range(5):
        by_hand = by_hand - alpha * minidl.grad(cost)(by_hand)

    theta = minidl.tensor(start, requires_grad=True)
    optimizer = minidl.optim.SGD([theta], lr=alpha)
    for _ in range(5):
        optimizer.zero_grad()
        cost(theta).backward()
        optimizer.step()
    compare("gradient descent", by_hand, theta)


def cross_entropy() -> None:
    """001, section 3.4:  H(p, q) = −Σᵢ pᵢ log qᵢ, where q is the softmax of z."""

    def written_out(z: Tensor) -> Tensor:
        q = minidl.exp(z) / minidl.exp(z).sum(axis=1, keepdims=True)
        return -(p * minidl.log(q)).sum(axis=1).mean()

    labels = minidl.tensor([2, 0, 1, 1])
    p = minidl.tensor(np.eye(3)[labels.numpy()])  # one-hot
    compare_with_gradients(
        "cross-entropy", written_out, lambda z: minidl.cross_entropy(z, labels), random(4, 3)
    )


def convolution() -> None:
    """001, section 3.4:  oⱼ = Σᵢ Σₚ wᵢₚ · I(j + p − 1, k), a sum over the receptive field.

    In two dimensions, and with a bias:  yᵢⱼ = Σₐ Σ꜀ wₐ꜀ · x[i + a, j + c] + b.
    """

    def written_out(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        height, width = x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1
        return sum(
            x[:, :, a : a + height, c : c + width] * w[0, 0, a, c]
            for a in range(w.shape[2])
            for c in range(w.shape[3])
        ) + minidl.reshape(b, (1, 1, 1, 1))

    compare_with_gradients(
        "convolution sum", written_out, minidl.conv2d, random(2, 1, 6, 7), random(1, 1, 3, 3),
        random(1),
    )  # fmt: skip


def max_pooling() -> None:
    """002, section 1.3:  pᵢ = max(sᵢ), where sᵢ are the elements of window i, here 2×2."""

    def written_out(x: Tensor) -> Tensor:
        upper = minidl.maximum(x[:, :, 0::2, 0::2], x[:, :, 0::2, 1::2])
        lower = minidl.maximum(x[:, :, 1::2, 0::2], x[:, :, 1::2, 1::2])
        return minidl.maximum(upper, lower)

    compare_with_gradients(
        "max pooling", written_out, lambda x: minidl.max_pool2d(x, 2), random(2, 3, 6, 8)
    )


def random(*shape: int) -> Tensor:
    """Random values in double precision, the same in every run."""
    return minidl.tensor(np.random.default_rng(0).normal(size=shape), requires_grad=True)


def compare_with_gradients(
    name: str, ours: Callable[..., Tensor], library: Callable[..., Tensor], *xs: Tensor
) -> None:
    """Compare the values of two functions, and their gradients with respect to each argument."""
    a, b = ours(*xs), library(*xs)
    compare(name, a, b)
    weight = np.random.default_rng(1).normal(size=a.shape)  # a different dy for each element
    pairs = zip(*(minidl.gradients((y * weight).sum(), list(xs)) for y in (a, b)), strict=True)
    for i, (mine, theirs) in enumerate(pairs):
        compare(f"  gradient of argument {i}", mine, theirs)


def compare(name: str, a: Tensor, b: Tensor) -> None:
    """Print the largest difference, and raise if it is more than rounding."""
    difference = float(np.abs(a.numpy() - b.numpy()).max())
    print(f"{name:26} {a.shape!s:16} largest difference {difference:.1e}")
    assert difference < 1e-12


if __name__ == "__main__":
    gradient_descent()
    cross_entropy()
    convolution()
    max_pooling()
