"""Datasets, samplers, the DataLoader, readers of data files, and text."""

from minidl.data import text
from minidl.data.collate import collate
from minidl.data.dataset import ConcatDataset, Dataset, Subset, TensorDataset
from minidl.data.datasets import digits, fashion_mnist, mnist
from minidl.data.errors import DataError, FormatError
from minidl.data.idx import read_idx
from minidl.data.interaction_files import read_interactions
from minidl.data.loader import DataLoader
from minidl.data.npz import read_npz
from minidl.data.rating_datasets import lecturer_ratings, movielens_100k
from minidl.data.ratings import Features, Ratings
from minidl.data.samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    WeightedRandomSampler,
)
from minidl.data.seeding import sample_generator
from minidl.data.splits import k_fold, random_split
from minidl.data.synthetic import synthetic_interactions
from minidl.data.tables import Table, read_csv
from minidl.data.text_datasets import moby_dick, movie_snippets

# fmt: off
__all__ = [
    "BatchSampler", "ConcatDataset", "DataError", "DataLoader", "Dataset", "Features",
    "FormatError", "RandomSampler", "Ratings", "Sampler", "SequentialSampler", "Subset", "Table",
    "TensorDataset", "WeightedRandomSampler", "collate", "digits", "fashion_mnist", "k_fold",
    "lecturer_ratings", "mnist", "moby_dick", "movie_snippets", "movielens_100k", "random_split",
    "read_csv", "read_idx", "read_interactions", "read_npz", "sample_generator",
    "synthetic_interactions", "text",
]
# fmt: on
