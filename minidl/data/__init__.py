"""Datasets, and batches of them."""

from minidl.data.dataset import TensorDataset, collate
from minidl.data.datasets import digits
from minidl.data.loader import DataLoader

__all__ = ["DataLoader", "TensorDataset", "collate", "digits"]
