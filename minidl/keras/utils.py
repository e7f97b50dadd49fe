"""Keras's utilities: one-hot encoding and seeds."""

import random
from typing import Any

import numpy as np

from minidl.checks import is_integer
from minidl.errors import ArgumentError, DTypeError, describe, named
from minidl.ops.random import manual_seed

__all__ = ["set_random_seed", "to_categorical"]


@named
def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """One-hot encoding of class numbers (…), float32 (…, num_classes).

    A last axis of length 1 is removed.

    num_classes    default: the largest class number + 1

    Raises DTypeError for class numbers that are not integers, and ArgumentError for any outside
    0 … num_classes − 1.

    >>> from minidl.keras import utils
    >>> utils.to_categorical([0, 2, 1]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    >>> utils.to_categorical([[0], [2]], num_classes=4).shape
    (2, 4)
    """
    labels = np.asarray(x)
    of_floats = labels.dtype.kind == "f" and np.isfinite(labels).all()
    if labels.dtype.kind not in "iub" and not (of_floats and (labels % 1 == 0).all()):
        raise DTypeError(f"to_categorical: class numbers are whole; got {describe(labels)}")
    if num_classes is not None and not is_integer(num_classes):
        raise ArgumentError(
            f"to_categorical: num_classes is an integer; got {describe(num_classes)}"
        )
    labels = labels.astype("int64")
    labels = labels[..., 0] if labels.ndim > 1 and labels.shape[-1] == 1 else labels
    classes = int(labels.max(initial=-1)) + 1 if num_classes is None else num_classes
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ArgumentError(
            f"to_categorical: class numbers are from 0 to {classes - 1}; got {labels.min()} … "
            f"{labels.max()}"
        )
    return (labels[..., None] == np.arange(classes)).astype("float32")


def set_random_seed(seed: int) -> None:
    """Seed the random numbers of minidl, NumPy and Python, so that a run can be reproduced.

    seed    an integer, else ArgumentError; NumPy, which takes 32 bits, gets the lowest ones

    >>> from minidl.keras import layers, utils
    >>> kernels = []
    >>> for seed in (7, 7, 8):
    ...     utils.set_random_seed(seed)
    ...     dense = layers.Dense(3)
    ...     dense.build((None, 4))
    ...     kernels.append(dense.get_weights()[0])
    >>> np.array_equal(kernels[0], kernels[1]), np.array_equal(kernels[0], kernels[2])
    (True, False)
    """
    manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
