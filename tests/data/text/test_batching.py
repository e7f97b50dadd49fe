"""Batches of sequences: padded, by length, and as streams."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.data import DataLoader
from minidl.data.text import BucketBatchSampler, PadCollate, StreamBatches
from minidl.errors import ArgumentError, DTypeError, MinidlError, ShapeError
from minidl.ops.random import Generator

SENTENCES = [([3, 4, 5], 1.5), ([], -1.0), ([6], 0.5)]


# Padding.


def test_sequences_are_padded_on_the_right():
    ids, lengths, scores = PadCollate(9)(SENTENCES)
    assert ids.tolist() == [[3, 4, 5], [9, 9, 9], [6, 9, 9]]
    assert (ids.dtype.name, lengths.dtype.name) == ("int64", "int64")
    assert (lengths.tolist(), scores.tolist()) == ([3, 0, 1], [1.5, -1.0, 0.5])


@given(st.lists(st.lists(st.integers(0, 99), max_size=9), min_size=1, max_size=6))
def test_taking_off_the_padding_gives_the_sequences(sequences):
    ids, lengths = PadCollate()(sequences)
    assert ids.shape == (len(sequences), max(map(len, sequences)))
    rows = [row[:n] for row, n in zip(ids.tolist(), lengths.tolist(), strict=True)]
    assert rows == sequences


def test_vectors_arrays_and_dicts():
    samples = [(np.ones((n, 2), "float32"), {"name": str(n), "y": n}) for n in (1, 3)]
    x, lengths, rest = PadCollate(-0.5)(samples)
    assert (x.shape, x.dtype.name) == ((2, 3, 2), "float32")
    assert x[0].tolist() == [[1, 1], [-0.5, -0.5], [-0.5, -0.5]]
    assert (lengths.tolist(), rest["name"], rest["y"].tolist()) == ([1, 3], ["1", "3"], [1, 3])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "needs at least one sample"),
        ([3, 4], r"sequences are of shape \(T, …\).*number 0 is \(\)"),
        ([[1], [[1, 2]]], r"number 1 is \(1, 2\), the first \(1,\)"),
        ([["a"]], "PadCollate"),
        ([([1], 2), ([1], 2, 3)], "must be alike"),
        (None, "needs a list of samples"),
    ],
)
def test_what_cannot_be_padded_is_refused(samples, message):
    with pytest.raises(MinidlError, match=message):
        PadCollate()(samples)


def test_the_padding_fits_the_sequences():
    with pytest.raises(ArgumentError, match=r"padding 0\.5 is no int64"):
        PadCollate(0.5)([[1]])
    with pytest.raises(ArgumentError, match=r"padding 300 is no uint8"):
        PadCollate(300)([np.ones(2, "uint8")])
    with pytest.raises(ArgumentError, match="padding is a number; got str"):
        PadCollate("0")
    for padding, dtype in ((300, "int8"), (-129, "int8"), (1e6, "float16"), (2**64, "uint64")):
        with pytest.raises(ArgumentError, match=f"padding .* is no {dtype}"):
            PadCollate(padding)([np.ones(1, dtype), np.ones(2, dtype)])
    for padding, dtype in ((-128, "int8"), (6e4, "float16"), (-np.inf, "float16"), (0, "uint8")):
        padded, _ = PadCollate(padding)([np.ones(1, dtype), np.ones(2, dtype)])
        assert padded.dtype == dtype
        assert padded[0, 1].item() == padding


# Batches by length.


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80), st.integers(1, 9), st.integers(1, 4))
def test_every_sample_is_in_one_batch(lengths, size, pool):
    for settings in ({}, {"shuffle": False}, {"drop_last": True}):
        sampler = BucketBatchSampler(lengths, size, pool=pool, generator=Generator(1), **settings)
        batches = list(sampler)
        seen = [i for batch in batches for i in batch]
        assert len(batches) == len(sampler)
        assert len(set(seen)) == len(seen)
        if "drop_last" in settings:
            assert {len(batch) for batch in batches} <= {size}
        else:
            assert sorted(seen) == list(range(len(lengths)))


def test_there_is_little_padding():
    lengths = np.random.default_rng(0).integers(1, 60, 2000)
    padded = [
        sum(lengths[b].max() * len(b) for b in (np.array(b) for b in sampler))
        for sampler in (BucketBatchSampler(lengths, 32), np.arange(2000).reshape(-1, 50))
    ]
    assert padded[0] < 1.05 * lengths.sum() < 1.5 * lengths.sum() < padded[1]


def test_each_epoch_is_another_and_each_seed():
    lengths = [1, 1, 2, 2, 3, 3, 4, 4]
    sampler = BucketBatchSampler(lengths, 2, generator=Generator(0))
    epochs = [list(sampler) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    again = BucketBatchSampler(lengths, 2, generator=Generator(0))
    assert [list(again) for _ in range(3)] == epochs
    assert list(BucketBatchSampler(lengths, 2, generator=Generator(1))) != epochs[0]
    ordered = BucketBatchSampler([3, 1, 2, 0, 5], 2, shuffle=False)
    assert list(ordered) == list(ordered) == [[3, 1], [2, 0], [4]]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("own", [True, False], ids=["own generator", "the default one"])
def test_a_loader_goes_on_in_the_middle_of_an_epoch(workers, own):
    sequences = [([i] * (i % 7), i) for i in range(40)]

    def loader():
        minidl.manual_seed(5)
        sampler = BucketBatchSampler(
            [len(s) for s, _ in sequences], 4, pool=3, generator=Generator(3) if own else None
        )
        settings = {"batch_sampler": sampler, "num_workers": workers}
        return DataLoader(sequences, collate_fn=PadCollate(), **settings)

    def read(batches):
        return [labels.tolist() for _, _, labels in batches]

    whole = loader()
    assert len(whole) == 10
    expected = [read(whole) for _ in range(3)]
    first = loader()
    read(first)
    begun = iter(first)
    seen = [next(begun)[2].tolist() for _ in range(4)]
    state = first.state_dict()
    minidl.manual_seed(99)
    second = loader()
    second.load_state_dict(state)
    assert seen + read(second) == expected[1]
    assert read(second) == expected[2]


def test_an_epoch_does_not_go_on_with_batches_of_another_size():
    def loader(size):
        return DataLoader(range(9), batch_sampler=BucketBatchSampler([1] * 9, size))

    first = loader(3)
    next(iter(first))
    with pytest.raises(ArgumentError, match=r"batch_size 3, .*cannot go on with .*batch_size 4"):
        loader(4).load_state_dict(first.state_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 2), "lengths are integers ≥ 0"),
        (([1.5], 2), "lengths are integers ≥ 0"),
        (([-1], 2), "lengths are integers ≥ 0"),
        (([[1]], 2), "lengths are integers ≥ 0"),
        (([[1, 2], [3]], 2), r"^BucketBatchSampler: lengths are integers ≥ 0, .* got list \[\["),
        (([1], 0), "batch_size"),
        (([1], 1.5), "batch_size"),
    ],
)
def test_bad_buckets_are_refused(arguments, message):
    with pytest.raises((ArgumentError, DTypeError), match=message):
        BucketBatchSampler(*arguments)
    with pytest.raises((ArgumentError, DTypeError), match="pool"):
        BucketBatchSampler([1], 1, pool=0)


# Streams.


@given(st.integers(2, 200), st.integers(1, 8), st.integers(1, 30))
def test_each_row_reads_on_where_it_stopped(n, rows, steps):
    ids = np.arange(n) % 7
    if n <= rows:
        with pytest.raises(ShapeError, match=f"{rows} streams need at least {rows + 1} ids"):
            StreamBatches(ids, rows, steps)
        return
    batches = StreamBatches(ids, rows, steps)
    pairs = [(x.numpy(), y.numpy()) for x, y in batches]
    assert len(pairs) == len(batches)
    assert {x.shape for x, _ in pairs[:-1]} <= {(rows, steps)}
    x, y = (np.concatenate(part, axis=1) for part in zip(*pairs, strict=True))
    length = (n - 1) // rows
    np.testing.assert_array_equal(x.ravel(), ids[: rows * length])
    np.testing.assert_array_equal(y.ravel(), ids[1 : rows * length + 1])
    assert [x.tolist() for x, _ in batches] == [x.tolist() for x, _ in pairs]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([0.5, 1.0], "ids are integers"),
        ([[1, 2], [3, 4]], "ids are integers"),
        ("text", "StreamBatches"),
        ([], "need at least 3 ids; got 0"),
        ([1, 2], "need at least 3 ids; got 2"),
    ],
)
def test_bad_streams_are_refused(ids, message):
    with pytest.raises((ShapeError, DTypeError), match=message):
        StreamBatches(ids, 2, 2)


def test_streams_take_no_copy_and_leave_the_ids_alone():
    ids = np.arange(100)
    ids.flags.writeable = False
    x, y = next(iter(StreamBatches(ids, 4, 5)))
    assert np.shares_memory(x.numpy(), ids)
    assert y.dtype == x.dtype == ids.dtype
