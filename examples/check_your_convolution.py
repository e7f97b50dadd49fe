"""Check a convolution written by hand in NumPy against minidl: two bugs, found and fixed.

The first bug ignores the dilation when the stride is greater than 1.  The second is in the gradient
with respect to the input, which must be accumulated where patches overlap.  For each bug,
`check_against` draws random calls, and prints the smallest one that reveals it.

Run:  python examples/check_your_convolution.py        (needs pip install "minidl[testing]")
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.testing import Settings, check_against

Array = np.ndarray


def patch_indices(x: Array, size: int, stride: int, dilation: int) -> Array:
    """The indices into x of the receptive field of each output, (outputs, size)."""
    outputs = (x.shape[-1] - dilation * (size - 1) - 1) // stride + 1
    return stride * np.arange(outputs)[:, None] + dilation * np.arange(size)


def convolution(x: Array, w: Array, stride: int, padding: int, dilation: int) -> Array:
    """y[n, o, i] = Σ_c Σ_k w[o, c, k] · x[n, c, stride·i + dilation·k], x padded with zeros."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    patches = x[:, :, patch_indices(x, w.shape[2], stride, dilation)]  # (N, C, outputs, K)
    return np.einsum("ncik,ock->noi", patches, w)


def forgetful(x: Array, w: Array, stride: int, padding: int, dilation: int) -> Array:
    """The same, with a bug: a stride greater than 1 switches the dilation off."""
    return convolution(x, w, stride, padding, dilation if stride == 1 else 1)


def gradient(
    dy: Array, x: Array, w: Array, stride: int, padding: int, dilation: int
) -> tuple[Array, Array]:
    """The gradients of Σ dy·y with respect to x and w."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    indices = patch_indices(padded, w.shape[2], stride, dilation)
    dw = np.einsum("noi,ncik->ock", dy, padded[:, :, indices])
    dpatches = np.einsum("noi,ock->ncik", dy, w)
    dx = np.zeros_like(padded)
    np.add.at(dx, (slice(None), slice(None), indices), dpatches)  # col2im
    return dx[:, :, padding : padding + x.shape[2]], dw


def overwriting(
    dy: Array, x: Array, w: Array, stride: int, padding: int, dilation: int
) -> tuple[Array, Array]:
    """The same, with a bug: where patches overlap, the last one overwrites the others."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    indices = patch_indices(padded, w.shape[2], stride, dilation)
    dx = np.zeros_like(padded)
    dx[:, :, indices] = np.einsum("noi,ock->ncik", dy, w)
    _, dw = gradient(dy, x, w, stride, padding, dilation)
    return dx[:, :, padding : padding + x.shape[2]], dw


def must_fail(function: Callable[..., Any], **more: Any) -> None:
    """Print the report of the bug that `check_against` must find."""
    try:
        check_against(function, "conv1d", settings=SETTINGS, **more)
    except AssertionError as report:
        print(report, end="\n\n")
    else:
        raise AssertionError("the bug was not found")


# Our convolution has neither groups nor a bias.
SETTINGS = Settings(fix={"groups": 1, "bias": None})

if __name__ == "__main__":
    must_fail(forgetful)
    must_fail(convolution, gradient=overwriting)
    check_against(convolution, "conv1d", gradient=gradient, settings=SETTINGS)
    print("The convolution and its gradient are correct.")
