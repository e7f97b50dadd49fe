"""Datasets, loaders, and the digits that come with minidl."""

import hashlib
import itertools
from collections import namedtuple

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.data import DataLoader, TensorDataset, collate, digits
from minidl.errors import ArgumentError, BoundsError, DeviceError, MinidlError, ShapeError
from minidl.ops.random import Generator
from tests.oracle import torch
from tests.toy_backend import TOY


class Squares:
    """Pairs of a number and its square, one at a time: a dataset without `batch`."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        assert type(index) is int
        return index, float(index**2)


def tensors(length):
    """The same as Squares, as tensors."""
    numbers = np.arange(length)
    return TensorDataset(numbers, (numbers**2).astype("float32"))


def plain_list(length):
    return [(i, float(i**2)) for i in range(length)]


each_dataset = pytest.mark.parametrize("dataset", [Squares, tensors, plain_list])


def numbers_of(loader):
    """The numbers in one pass over a loader, a list for each batch."""
    return [numbers.tolist() for numbers, _ in loader]


def epoch_of(loader):
    """The numbers in one pass over a loader, in one list."""
    return list(itertools.chain.from_iterable(numbers_of(loader)))


# DataLoader.


@each_dataset
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 5, 11])
@pytest.mark.parametrize("length", [0, 1, 10])
def test_batches_are_as_many_and_as_large_as_pytorchs(
    length, batch_size, shuffle, drop_last, dataset
):
    settings = {"shuffle": shuffle and length > 0, "drop_last": drop_last}
    ours = DataLoader(dataset(length), batch_size, **settings)
    theirs = torch.utils.data.DataLoader(Squares(length), batch_size, **settings)
    sizes = [len(numbers) for numbers, _ in theirs]
    assert len(ours) == len(theirs) == len(sizes)
    assert list(map(len, numbers_of(ours))) == sizes


@each_dataset
def test_samples_come_complete_and_in_order(dataset):
    batches = list(DataLoader(dataset(5), 2))
    assert [(x.tolist(), y.tolist()) for x, y in batches] == [
        ([0, 1], [0, 1]),
        ([2, 3], [4, 9]),
        ([4], [16]),
    ]
    assert all(type(batch) is tuple for batch in batches)
    assert all((x.dtype, y.dtype) == ("int64", "float32") for x, y in batches)


@each_dataset
def test_a_loader_may_be_iterated_again_and_again(dataset):
    loader = DataLoader(dataset(5), 2)
    assert numbers_of(loader) == numbers_of(loader) == [[0, 1], [2, 3], [4]]
    first, second = iter(loader), iter(loader)
    assert next(first)[0].tolist() == next(second)[0].tolist() == [0, 1]
    assert next(first)[0].tolist() == [2, 3]


@each_dataset
def test_shuffling_visits_each_sample_once_in_a_new_order_each_epoch(dataset):
    loader = DataLoader(dataset(100), 7, shuffle=True)
    epochs = [epoch_of(loader) for _ in range(4)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(100))
        assert epoch != list(range(100))
    assert len(set(map(tuple, epochs))) == 4
    for x, y in loader:
        assert (y == x**2).all()


def test_shuffling_and_dropping_leaves_out_other_samples_each_time():
    loader = DataLoader(Squares(10), 4, shuffle=True, drop_last=True, generator=Generator(0))
    left_out = [frozenset(range(10)) - set(epoch_of(loader)) for _ in range(5)]
    assert {len(samples) for samples in left_out} == {2}
    assert len(set(left_out)) > 1


@each_dataset
def test_the_order_comes_from_the_generator(dataset):
    runs = []
    for seed in (1, 1, 2):
        loader = DataLoader(dataset(50), 8, shuffle=True, generator=Generator(seed))
        runs.append([numbers_of(loader) for _ in range(2)])
    assert runs[0] == runs[1] != runs[2]


def test_the_order_comes_from_manual_seed_if_there_is_no_generator():
    loader = DataLoader(Squares(50), 8, shuffle=True)
    runs = []
    for seed in (1, 1, 2):
        minidl.manual_seed(seed)
        runs.append(numbers_of(loader))
    assert runs[0] == runs[1] != runs[2]


def test_without_shuffling_no_random_numbers_are_drawn():
    generator = Generator(1)
    numbers_of(DataLoader(Squares(5), 2, generator=generator))
    assert generator.offset == 0


def test_writing_into_a_batch_does_not_change_the_dataset():
    dataset = tensors(6)
    for x, _ in DataLoader(dataset, 3):
        x[...] = -1
    assert dataset.tensors[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_collate_fn_makes_the_batches():
    loader = DataLoader(tensors(5), 2, collate_fn=lambda samples: [int(x) for x, _ in samples])
    assert list(loader) == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, None, "4"])
def test_a_batch_size_is_a_number_from_1_on(batch_size):
    with pytest.raises(ArgumentError, match=f"DataLoader: batch_size.*≥ 1; got {batch_size!r}"):
        DataLoader(Squares(5), batch_size)


def test_a_batch_size_may_be_numpys():
    assert len(DataLoader(Squares(5), np.int64(2))) == 3


# Batches of samples.

Point = namedtuple("Point", "x y")
ARRAY = np.arange(6.0).reshape(2, 3)
SAMPLES = {
    "integers": ([1, 2], [1, 2], "int64"),
    "bools": ([True, False], [True, False], "bool"),
    "floats": ([1.5, 2.5], [1.5, 2.5], "float32"),
    "integer and float": ([1, 2.5], [1, 2.5], "float32"),
    "NumPy's scalars": ([np.int32(1), np.int32(2)], [1, 2], "int32"),
    "arrays": ([ARRAY, -ARRAY], [ARRAY, -ARRAY], "float64"),
    "arrays of bytes": ([ARRAY.astype("uint8")] * 2, [ARRAY] * 2, "uint8"),
    "tensors": ([ops.ones(2), ops.zeros(2)], [[1, 1], [0, 0]], "float32"),
    "tensors of no axis": ([ops.ones(()), ops.zeros(())], [1, 0], "float32"),
    "one": ([ARRAY], [ARRAY], "float64"),
}


@pytest.mark.parametrize(("samples", "values", "dtype"), SAMPLES.values(), ids=SAMPLES)
def test_numbers_and_arrays_are_stacked(samples, values, dtype):
    batch = collate(samples)
    assert isinstance(batch, minidl.Tensor)
    assert batch.dtype == dtype
    np.testing.assert_array_equal(batch, values)


@pytest.mark.parametrize("kind", [tuple, list, Point._make])
def test_tuples_and_lists_keep_their_kind(kind):
    batch = collate([kind((1, "a")), kind((2, "b"))])
    assert type(batch) is type(kind((0, 0)))
    assert batch[0].tolist() == [1, 2]
    assert batch[1] == ["a", "b"]


def test_dicts_and_what_is_in_them():
    samples = [{"image": ARRAY * i, "meta": {"name": f"n{i}", "at": (i, -i)}} for i in range(3)]
    for batch in (collate(samples), next(iter(DataLoader(samples, 3)))):
        assert list(batch) == ["image", "meta"]
        assert batch["image"].shape == (3, 2, 3)
        assert batch["meta"]["name"] == ["n0", "n1", "n2"]
        assert [x.tolist() for x in batch["meta"]["at"]] == [[0, 1, 2], [0, -1, -2]]


def test_a_batch_needs_a_sample():
    with pytest.raises(ShapeError, match="a batch needs at least one sample; got none"):
        collate([])


@pytest.mark.parametrize("samples", [["a", "bc"], [b"a", b"bc"]])
def test_text_stays_a_list(samples):
    assert collate(samples) == samples


@pytest.mark.parametrize("samples", [[ops.ones(2), ops.ones(3)], [1, [1, 2]], [ARRAY, ARRAY[0]]])
def test_samples_of_unequal_shapes_are_refused(samples):
    with pytest.raises(ShapeError, match=r"DataLoader: samples.*one shape; got.*pad.*collate_fn"):
        next(iter(DataLoader(samples, 2)))


@pytest.mark.parametrize(
    "samples", [[(1, 2), (3,)], [{"a": 1}, {"b": 1}], [None, None], [object()], [{"a": 1}, 2]]
)
def test_samples_that_make_no_batch_are_refused(samples):
    with pytest.raises(MinidlError):
        collate(samples)


# TensorDataset.


def test_a_sample_is_the_tuple_of_entries():
    dataset = TensorDataset(ARRAY, [7, 8])
    assert len(dataset) == 2
    x, y = dataset[1]
    assert (x.tolist(), y.tolist()) == ([3, 4, 5], 8)
    assert [int(y) for _, y in dataset] == [7, 8]
    with pytest.raises(IndexError):
        dataset[2]


def test_arrays_share_their_memory():
    array = ARRAY.copy()
    dataset = TensorDataset(array)
    array[0, 0] = 99
    assert dataset[0][0][0].item() == 99


@pytest.mark.parametrize(
    ("given", "shapes"),
    [
        ([], r"\[\]"),
        ([1.0], r"\[\(\)\]"),
        ([np.ones(3), np.ones(4)], r"\[\(3,\), \(4,\)\]"),
        ([np.ones((3, 2)), np.ones((2, 3)), np.ones(3)], r"\[\(3, 2\), \(2, 3\), \(3,\)\]"),
        ([np.ones(3), 1.0], r"\[\(3,\), \(\)\]"),
    ],
)
def test_tensors_of_one_length_are_needed(given, shapes):
    with pytest.raises(ShapeError, match=f"TensorDataset: .*one length; got shapes {shapes}"):
        TensorDataset(*given)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(6, 2),
        np.arange(24)[::2].reshape(6, 2),
        np.asfortranarray(np.arange(12.0).reshape(6, 2)),
        np.arange(12)[::-1][:6],
        np.ones((6, 0)),
        np.arange(6) > 2,
    ],
    ids=["C", "strided", "Fortran", "backwards", "no elements", "bools"],
)
def test_a_batch_is_what_the_indices_give(array):
    indices = ops.asarray([5, 0, 0, -1])
    for tensor in (ops.asarray(array), ops.asarray(array).detach()):
        (batch,) = TensorDataset(tensor).batch(indices)
        np.testing.assert_array_equal(batch.numpy(), array[[5, 0, 0, -1]], strict=True)
    with pytest.raises(BoundsError):
        TensorDataset(array).batch(ops.asarray([6], device="cpu"))


def test_indices_on_another_device_are_refused():
    dataset, indices = TensorDataset(np.arange(6.0)), ops.asarray([1, 4], device=TOY)
    for ask in (dataset.batch, dataset.__getitem__):
        with pytest.raises(DeviceError, match=r"getitem: .* on 'cpu', and its index, .* 'toy'"):
            ask(indices)


def test_gradients_flow_through_a_batch():
    x = ops.asarray(np.arange(4.0), requires_grad=True)
    (batch,) = TensorDataset(x).batch(ops.asarray([2, 0, 2]))
    (batch * batch).sum().backward()
    assert x.grad.tolist() == [0, 0, 8, 0]


# The digits.

IN_ALL = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # of each class, as UCI states
FIRST = """
    0  0  5 13  9  1  0  0
    0  0 13 15 10 15  5  0
    0  3 15  2  0 11  8  0
    0  4 12  0  0  8  8  0
    0  5  8  0  0  9  8  0
    0  4 11  0  1 12  7  0
    0  2 14  5 10 12  0  0
    0  0  6 13 10  0  0  0
"""  # the first image of the collection, a zero
CHECKSUM = "c8f364ef00ff239c182c64d4bc08062635fbd029094b6bb404861dff840044a2"  # of both sets


def images_and_labels():
    """Of the training and the test set together."""
    parts = [dataset.tensors for dataset in digits()]
    return tuple(np.concatenate(list(map(np.asarray, part))) for part in zip(*parts, strict=True))


def test_digits_have_the_stated_sizes_and_dtypes():
    for dataset, length in zip(digits(), (1437, 360), strict=True):
        images, labels = dataset.tensors
        assert len(dataset) == length
        assert (images.shape, images.dtype) == ((length, 1, 8, 8), "float32")
        assert (labels.shape, labels.dtype) == ((length,), "int64")


def test_digits_are_those_of_the_collection():
    images, labels = images_and_labels()
    assert len(images) == 1797
    assert (images.min(), images.max()) == (0, 1)
    np.testing.assert_array_equal(images * 16, np.round(images * 16))
    assert np.bincount(labels).tolist() == IN_ALL
    first = np.array(FIRST.split(), "float32").reshape(8, 8) / 16
    (place,) = np.flatnonzero((images[:, 0] == first).all(axis=(1, 2)))
    assert labels[place] == 0


def test_no_digit_is_in_both_sets():
    train, test = ({x.tobytes() for x in dataset.tensors[0].numpy()} for dataset in digits())
    assert (len(train), len(test)) == (1437, 360)
    assert not train & test


def test_both_sets_have_every_class_in_its_proportion():
    for dataset in digits():
        counts = np.bincount(dataset.tensors[1], minlength=10)
        expected = np.array(IN_ALL) * len(dataset) / 1797
        assert (np.abs(counts - expected) < 4 * np.sqrt(expected)).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_split_is_always_the_same_and_draws_no_random_numbers(seed):
    generator = minidl.manual_seed(seed)
    whole = b"".join(x.numpy().tobytes() for dataset in digits() for x in dataset.tensors)
    assert hashlib.sha256(whole).hexdigest() == CHECKSUM
    assert generator.offset == 0


def test_digits_come_in_batches():
    train, _ = digits()
    batches = list(DataLoader(train, 500))
    assert [images.shape for images, _ in batches] == [(500, 1, 8, 8)] * 2 + [(437, 1, 8, 8)]
    np.testing.assert_array_equal(
        np.concatenate([labels.numpy() for _, labels in batches]), train.tensors[1]
    )
