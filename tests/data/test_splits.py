"""Subsets and splits of datasets, and concatenated datasets."""

from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    collate,
    k_fold,
    random_split,
)
from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from minidl.ops import asarray
from minidl.ops.random import Generator
from tests.oracle import torch
from tests.toy_backend import TOY


def tensors(length, start=0):
    numbers = np.arange(start, start + length)
    return TensorDataset(numbers, np.stack([numbers, -numbers], axis=1).astype("float32"))


class OneByOne(Dataset):
    """The same samples, without `batch`."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return self.dataset[index]


class Structured(Dataset):
    """Samples of every structure, also in whole batches."""

    Pair = namedtuple("Pair", "number text")

    def __init__(self, start, length):
        self.start, self.length = start, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        i = self.start + index
        return {
            "pair": self.Pair(i, f"text {i}"),
            "list": [float(i), b"x"],
            "image": np.ones(3) * i,
        }

    def batch(self, indices):
        return collate([self[i] for i in indices.tolist()])


def equal(one, other):
    """Whether two batches have the same structure, types and values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if hasattr(one, "shape"):
        return (one.shape, one.dtype) == (other.shape, other.dtype) and bool((one == other).all())
    return one == other


# Dataset.


def test_a_dataset_needs_both_methods():
    class Half(Dataset):
        def __len__(self):
            return 1

    with pytest.raises(TypeError, match="__getitem__"):
        Half()


# Subset.


def test_a_subset_has_the_samples_at_its_indices():
    subset = Subset(tensors(10), [7, 2, 2])
    assert len(subset) == 3
    assert [int(x) for x, _ in subset] == [7, 2, 2]
    assert int(subset[-1][0]) == 2
    batch = subset.batch(asarray([2, 0]))
    assert equal(batch, collate([subset[2], subset[0]]))
    assert Subset(tensors(10), asarray([1])).indices.tolist() == [1]
    assert list(Subset(tensors(10), [])) == []


def test_a_subset_takes_whole_batches_where_it_can():
    asked = []

    class Noting(TensorDataset):
        def batch(self, indices):
            asked.append(indices.tolist())
            return super().batch(indices)

    subset = Subset(Subset(Noting(np.arange(10) * 10), range(5, 10)), [4, 0, 2])
    assert [x.tolist() for (x,) in DataLoader(subset, 2)] == [[90, 50], [70]]
    assert asked == [[9, 5], [7]]


@pytest.mark.parametrize("wrong", [3, -4, 1.0, "1", None])
def test_an_index_outside_is_refused(wrong):
    for dataset in (Subset(tensors(5), [0, 1, 2]), ConcatDataset([tensors(1), tensors(2)])):
        kind = BoundsError if type(wrong) is int else DTypeError
        with pytest.raises(kind, match=type(dataset).__name__):
            dataset[wrong]


@pytest.mark.parametrize(
    ("indices", "error", "words"),
    [
        ([0, 5], BoundsError, "index 5 is outside a dataset of 5"),
        ([-1], BoundsError, "index -1 is outside"),
        ([0.5], DTypeError, "indices are a list of integers"),
        ([[0, 1]], DTypeError, "indices are a list"),
        ([True, False], DTypeError, "indices are a list"),
    ],
)
def test_indices_of_a_subset_are_checked(indices, error, words):
    with pytest.raises(error, match=f"Subset: {words}"):
        Subset(tensors(5), indices)


def test_indices_may_be_on_any_device():
    dataset = Subset(tensors(4), [3, 1, 2]) + tensors(3, 7)
    (numbers, *_) = dataset.batch(asarray([-1, 0, 4], device=TOY))
    assert (numbers.tolist(), numbers.device) == ([9, 3, 8], "cpu")


# ConcatDataset.
@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=4),
    st.data(),
)
def test_concatenated_datasets_are_one_after_another(parts, data):
    datasets, start = [], 0
    for length, whole in parts:
        part = tensors(length, start)
        datasets.append(part if whole else OneByOne(part))
        start += length
    dataset = ConcatDataset(datasets)
    assert len(dataset) == start
    assert [int(x) for x, _ in dataset] == list(range(start))
    if start:
        places = data.draw(st.lists(st.integers(-start, start - 1), min_size=1, max_size=9))
        expected = collate([dataset[i] for i in places])
        assert equal(dataset.batch(asarray(places)), expected)
        assert expected[0].tolist() == [i % start for i in places]


def test_concatenated_structures_are_those_of_samples():
    dataset = Structured(0, 3) + Structured(3, 4)
    assert isinstance(dataset, ConcatDataset)
    places = [5, 0, 3, 2, 2]
    batch = dataset.batch(asarray(places))
    assert equal(batch, collate([dataset[i] for i in places]))
    assert batch["pair"].text == [f"text {i}" for i in places]


def test_samples_of_other_shapes_do_not_concatenate():
    dataset = ConcatDataset([TensorDataset(np.ones((2, 3))), TensorDataset(np.ones((2, 4)))])
    assert dataset.batch(asarray([0, 1]))[0].shape == (2, 3)
    with pytest.raises(ShapeError, match=r"one shape; got \[\(3,\), \(4,\)\]"):
        dataset.batch(asarray([0, 3]))
    with pytest.raises(BoundsError, match="index 4 is outside a dataset of 4"):
        dataset.batch(asarray([0, 4]))
    with pytest.raises(ArgumentError, match="ConcatDataset: needs at least one"):
        ConcatDataset([])


# random_split.

FRACTIONS = [[0.5, 0.5], [0.8, 0.1, 0.1], [1.0], [0.1] * 10, [0.3, 0.7], [0.0, 1.0], [1 / 3] * 3]


@pytest.mark.parametrize("n", [1, 3, 10, 11, 101])
@pytest.mark.parametrize("fractions", FRACTIONS, ids=str)
@pytest.mark.filterwarnings("ignore:Length of split")  # PyTorch's
def test_parts_are_as_large_as_pytorchs(fractions, n):
    ours = random_split(tensors(n), fractions)
    theirs = torch.utils.data.random_split(range(n), fractions)
    assert list(map(len, ours)) == list(map(len, theirs))


@pytest.mark.parametrize("lengths", [[3, 7], [10], [0, 10], [4, 3, 3], [10.0], [np.int64(10)]])
def test_parts_share_no_sample(lengths):
    dataset = tensors(10)
    parts = random_split(dataset, lengths, Generator(1))
    assert list(map(len, parts)) == lengths
    assert sorted(int(x) for part in parts for x, _ in part) == list(range(10))
    again = random_split(dataset, lengths, Generator(1))
    other = random_split(dataset, lengths, Generator(2))
    indices = [[part.indices.tolist() for part in parts] for parts in (parts, again, other)]
    assert indices[0] == indices[1] != indices[2]
    assert all(part.dataset is dataset for part in parts)


@pytest.mark.parametrize(
    "lengths", [[3, 8], [], [0.5, 0.6], [-1, 11], ["10"], [float("nan")], [float("inf")], [5]]
)
def test_parts_add_up(lengths):
    with pytest.raises(ArgumentError, match=r"random_split: lengths add up to the 10 samples"):
        random_split(tensors(10), lengths)


def test_one_sample_and_a_length_of_1():
    assert list(map(len, random_split(tensors(1), [1]))) == [1]
    assert list(map(len, random_split(tensors(0), [0, 0]))) == [0, 0]


# k_fold.


@given(
    n=st.integers(2, 30),
    k=st.integers(2, 30),
    shuffle=st.booleans(),
    classes=st.none() | st.integers(1, 4),
)
def test_each_sample_is_validated_once(n, k, shuffle, classes):
    k = min(n, k)
    labels = None if classes is None else np.random.default_rng(n).integers(0, classes, n)
    folds = list(k_fold(n, k, shuffle, Generator(0), labels=labels))
    assert len(folds) == k
    for train, validation in folds:
        assert sorted([*train, *validation]) == list(range(n))
    assert sorted(np.concatenate([v for _, v in folds])) == list(range(n))
    sizes = [len(validation) for _, validation in folds]
    assert max(sizes) - min(sizes) <= 1
    for label in range(classes or 0):
        counts = [int((labels[validation] == label).sum()) for _, validation in folds]
        assert max(counts) - min(counts) <= 1


def test_folds_without_shuffling_are_runs_of_neighbours():
    assert [v.tolist() for _, v in k_fold(7, 3)] == [[0, 1, 2], [3, 4], [5, 6]]


def test_folds_of_a_dataset_are_subsets():
    dataset = tensors(6)
    for train, validation in k_fold(dataset, 3, labels=asarray([0, 1, 2, 0, 1, 2])):
        assert isinstance(train, Subset)
        assert isinstance(validation, Subset)
        assert (len(train), len(validation)) == (4, 2)
        assert train.dataset is dataset


def test_folds_are_drawn_from_the_generator():
    def drawn(seed):
        return [v.tolist() for _, v in k_fold(20, 4, True, Generator(seed))]

    assert drawn(1) == drawn(1) != drawn(2)
    generator = Generator(1)
    list(k_fold(20, 4, generator=generator))
    assert generator.offset == 0


@pytest.mark.parametrize("k", [1, 0, 6, 2.0, None])
def test_folds_are_from_2_to_the_number_of_samples(k):
    with pytest.raises(ArgumentError, match=f"k_fold: k is a number from 2 to the 5.*got {k}"):
        k_fold(tensors(5), k)


def test_labels_are_one_for_each_sample():
    with pytest.raises(ShapeError, match=r"k_fold: needs a label for each of 5.*got \(4,\)"):
        k_fold(5, 2, labels=[0, 1, 0, 1])
