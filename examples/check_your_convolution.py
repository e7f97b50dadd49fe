"""A convolution written by hand in NumPy, checked against minidl: two mistakes, found and mended.

The first forgets the dilation where the stride is more than 1.  The second is in the gradient by
the input, which is added up over windows that overlap.  For each, `check_against` draws calls at
random, and prints the smallest that shows the mistake.

Run:  python examples/check_your_convolution.py        (needs pip install "minidl[testing]")
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.testing import Settings, check_against

Array = np.ndarray


def windows(x: Array, size: int, stride: int, dilation: int) -> Array:
    """The places of x under each window of one axis, (outputs, size)."""
    outputs = (x.shape[-1] - dilation * (size - 1) - 1) // stride + 1
    return stride * np.arange(outputs)[:, None] + dilation * np.arange(size)


def convolution(x: Array, w: Array, stride: int, padding: int, dilation: int) -> Array:
    """y[n, o, i] = Σ_c Σ_k w[o, c, k] · x[n, c, stride·i + dilation·k], x padded with zeros."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    seen = x[:, :, windows(x, w.shape[2], stride, dilation)]  # (N, C, outputs, K)
    return np.einsum("ncik,ock->noi", seen, w)


def forgetful(x: Array, w: Array, stride: int, padding: int, dilation: int) -> Array:
    """The same, with a mistake."""
    return convolution(x, w, stride, padding, dilation if stride == 1 else 1)


def gradient(
    dy: Array, x: Array, w: Array, stride: int, padding: int, dilation: int
) -> tuple[Array, Array]:
    """The gradients by x and by w of Σ dy·y."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    places = windows(padded, w.shape[2], stride, dilation)
    dw = np.einsum("noi,ncik->ock", dy, padded[:, :, places])
    parts = np.einsum("noi,ock->ncik", dy, w)
    dx = np.zeros_like(padded)
    np.add.at(dx, (slice(None), slice(None), places), parts)
    return dx[:, :, padding : padding + x.shape[2]], dw


def overwriting(
    dy: Array, x: Array, w: Array, stride: int, padding: int, dilation: int
) -> tuple[Array, Array]:
    """The same, with a mistake: where windows overlap, the last one wins."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    places = windows(padded, w.shape[2], stride, dilation)
    dx = np.zeros_like(padded)
    dx[:, :, places] = np.einsum("noi,ock->ncik", dy, w)
    _, dw = gradient(dy, x, w, stride, padding, dilation)
    return dx[:, :, padding : padding + x.shape[2]], dw


def must_fail(function: Callable[..., Any], **more: Any) -> None:
    """Print what the kit finds."""
    try:
        check_against(function, "conv1d", settings=SETTINGS, **more)
    except AssertionError as report:
        print(report, end="\n\n")
    else:
        raise AssertionError("the mistake was not found")


# Our convolution has neither groups nor a bias.
SETTINGS = Settings(fix={"groups": 1, "bias": None})

if __name__ == "__main__":
    must_fail(forgetful)
    must_fail(convolution, gradient=overwriting)
    check_against(convolution, "conv1d", gradient=gradient, settings=SETTINGS)
    print("The convolution and its gradient are right.")
