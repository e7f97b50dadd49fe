"""What Keras programs do around a model."""

import random
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, DTypeError, describe
from minidl.ops.random import manual_seed


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Class numbers (…) as rows of a 1 among zeros, float32 (…, num_classes).

    num_classes    the largest number and one, if left out; a last axis of length 1 goes away
    """
    labels = np.asarray(x)
    if labels.dtype.kind not in "iub" and not (labels == labels.astype("int64")).all():
        raise DTypeError(f"to_categorical: class numbers are whole; got {describe(labels)}")
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
    """Seed the random numbers of minidl, NumPy and Python."""
    manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
