"""Real data."""

import os

import numpy as np

from minidl.data.dataset import TensorDataset
from minidl.ops.random import Generator, permutation


def digits() -> tuple[TensorDataset, TensorDataset]:
    """1,797 handwritten digits: 1,437 to train with and 360 to test with, always the same.

    Images (N, 1, 8, 8), float32 from 0 (paper) to 1 (ink); labels (N,), int64 from 0 to 9.
    E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository 1998, doi:10.24432/C50P49, licence CC BY 4.0.  Shipped with minidl.
    """
    with np.load(os.path.join(os.path.dirname(__file__), "files", "digits.npz")) as stored:
        images = stored["images"][:, None].astype(np.float32) / 16
        labels = stored["labels"].astype(np.int64)
    order = permutation(len(labels), generator=Generator(0)).numpy()
    train, test = order[:1437], order[1437:]
    return TensorDataset(images[train], labels[train]), TensorDataset(images[test], labels[test])
