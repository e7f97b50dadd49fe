"""Standard datasets: each function returns a training set and a test set."""

import os

import numpy as np

from minidl.data.dataset import TensorDataset
from minidl.data.idx import read_idx
from minidl.ops.random import Generator, permutation


def digits() -> tuple[TensorDataset, TensorDataset]:
    """1,797 handwritten digits, in a fixed split: 1,437 for training and 360 for testing.

    Images (N, 1, 8, 8), float32 from 0 (paper) to 1 (ink); labels (N,), int64 from 0 to 9.
    E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository 1998, doi:10.24432/C50P49, licence CC BY 4.0.  Shipped with minidl.

    >>> train, test = minidl.data.digits()
    >>> image, label = train[0]
    >>> len(train), len(test), image.shape, label.dtype.name
    (1437, 360, (1, 8, 8), 'int64')
    """
    with np.load(os.path.join(os.path.dirname(__file__), "files", "digits.npz")) as stored:
        images = stored["images"][:, None].astype(np.float32) / 16
        labels = stored["labels"].astype(np.int64)
    order = permutation(len(labels), device="cpu", generator=Generator(0)).numpy()
    train, test = order[:1437], order[1437:]
    return TensorDataset(images[train], labels[train]), TensorDataset(images[test], labels[test])


def mnist() -> tuple[TensorDataset, TensorDataset]:
    """70,000 handwritten digits: 60,000 for training and 10,000 for testing.

    Images (N, 1, 28, 28), float32 from 0 (paper) to 1 (ink); labels (N,), int64 from 0 to 9.
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document
    recognition, Proceedings of the IEEE 86(11), 1998; licence CC BY-SA 3.0.  Downloaded
    on first use, 12 MB, and cached in $MINIDL_DATA, else in the user's cache folder; a DataError if
    that fails.

    >>> train, test = minidl.data.mnist()  # doctest: +SKIP
    >>> train.tensors[0].shape, test.tensors[1].shape  # doctest: +SKIP
    ((60000, 1, 28, 28), (10000,))
    """
    return _like_mnist("mnist")


def fashion_mnist() -> tuple[TensorDataset, TensorDataset]:
    """70,000 images of clothes: 60,000 for training and 10,000 for testing.

    Images (N, 1, 28, 28), float32 from 0 (background) to 1; labels (N,), int64: 0 T-shirt,
    1 trousers, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot.
    H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, a novel image dataset for benchmarking machine
    learning algorithms, 2017, arXiv:1708.07747; licence MIT.  Downloaded on first use, 31 MB, and
    cached in $MINIDL_DATA, else in the user's cache folder; a DataError if that fails.

    >>> train, test = minidl.data.fashion_mnist()  # doctest: +SKIP
    >>> train.tensors[0].shape, test.tensors[1].shape  # doctest: +SKIP
    ((60000, 1, 28, 28), (10000,))
    """
    return _like_mnist("fashion-mnist")


def _like_mnist(name: str) -> tuple[TensorDataset, TensorDataset]:
    """A dataset of four IDX files: training images and labels, test images and labels."""
    from minidl.data import download, remote_datasets  # lazily: takes 0.1 s to import

    files = download.files_of(remote_datasets.DATASETS[name])
    images, labels, test_images, test_labels = map(read_idx, files)
    return _grayscale(images, labels), _grayscale(test_images, test_labels)


def _grayscale(images: np.ndarray, labels: np.ndarray) -> TensorDataset:
    """Images (N, H, W) of bytes as float32 (N, 1, H, W) from 0 to 1, with int64 labels."""
    return TensorDataset(np.divide(images[:, None], 255, dtype=np.float32), labels.astype(np.int64))
