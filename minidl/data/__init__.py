"""Datasets, and batches of them."""

from minidl.data.dataset import TensorDataset, collate
from minidl.data.datasets import digits, fashion_mnist, mnist
from minidl.data.errors import DataError, FormatError
from minidl.data.idx import read_idx
from minidl.data.loader import DataLoader

__all__ = [
    *("DataError", "DataLoader", "FormatError", "TensorDataset", "collate"),
    *("digits", "fashion_mnist", "mnist", "read_idx"),
]
