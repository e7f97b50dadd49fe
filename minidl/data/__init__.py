"""Datasets, samplers, the DataLoader, and readers of data files."""

from minidl.data.collate import collate
from minidl.data.dataset import ConcatDataset, Dataset, Subset, TensorDataset
from minidl.data.datasets import digits, fashion_mnist, mnist
from minidl.data.errors import DataError, FormatError
from minidl.data.idx import read_idx
from minidl.data.loader import DataLoader
from minidl.data.npz import read_npz
from minidl.data.samplers import RandomSampler, Sampler, SequentialSampler, WeightedRandomSampler
from minidl.data.seeding import sample_generator
from minidl.data.splits import k_fold, random_split
from minidl.data.tables import Table, read_csv

# fmt: off
__all__ = [
    "ConcatDataset", "DataError", "DataLoader", "Dataset", "FormatError", "RandomSampler",
    "Sampler", "SequentialSampler", "Subset", "Table", "TensorDataset", "WeightedRandomSampler",
    "collate", "digits", "fashion_mnist", "k_fold", "mnist", "random_split", "read_csv", "read_idx",
    "read_npz", "sample_generator",
]
# fmt: on
