"""The loader's workers, samplers and position."""

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.data import (
    ConcatDataset,
    DataError,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    sample_generator,
)
from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from minidl.ops import random
from minidl.ops.random import Generator, default_generator
from tests.data.worker_datasets import (
    Broken,
    Counted,
    Deadly,
    Noisy,
    NoisyBatches,
    NotForPickle,
    Slow,
    first_two,
    with_default_noise,
)
from tests.helpers import HERE, named
from tests.toy_backend import TOY

KINDS = [
    {},
    {"num_workers": 1},
    {"num_workers": 3, "prefetch_factor": 1},
    {"num_workers": 2, "workers": "processes"},
]


def plain(batch):
    """A batch as nested lists."""
    return [x.tolist() if hasattr(x, "tolist") else x for x in batch]


def epochs(loader, count):
    return [[plain(batch) for batch in loader] for _ in range(count)]


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("minidl-loader")]


@pytest.fixture(autouse=True)
def _nothing_is_left_running():
    yield
    assert not loader_threads()
    assert not multiprocessing.active_children()


# The same with any workers.


@pytest.mark.parametrize("kind", KINDS[1:3], ids=str)
@pytest.mark.parametrize("dataset", [Noisy, NoisyBatches])
@pytest.mark.parametrize("shuffle", [False, True])
def test_order_and_content_do_not_depend_on_threads(shuffle, dataset, kind):
    settings = {"batch_size": 4, "shuffle": shuffle}
    expected, found = (
        DataLoader(dataset(23), generator=Generator(7), **settings, **more) for more in ({}, kind)
    )
    assert epochs(found, 2) == epochs(expected, 2)
    assert found.generator.offset == expected.generator.offset


def test_order_and_content_do_not_depend_on_processes_and_these_are_kept():
    settings = {"batch_size": 4, "shuffle": True, "collate_fn": with_default_noise}
    plain_loader = DataLoader(Noisy(23), generator=Generator(7), **settings)
    with DataLoader(
        Noisy(23), generator=Generator(7), **settings, **KINDS[3], persistent_workers=True
    ) as loader:
        found = epochs(loader, 1)
        processes = {process.pid for process in multiprocessing.active_children()}
        found += epochs(loader, 1)
        assert {process.pid for process in multiprocessing.active_children()} == processes
        assert len(processes) == 2
    assert not multiprocessing.active_children()
    by_default = [batch.pop() for epoch in found for batch in epoch]
    assert len(set(by_default)) == len(by_default) == 12
    assert found == [[batch[:-1] for batch in epoch] for epoch in epochs(plain_loader, 2)]


def test_a_collate_fn_may_be_random_too():
    found = [
        epochs(DataLoader(Noisy(9), 4, collate_fn=first_two, generator=Generator(1), **kind), 2)
        for kind in KINDS[:3]
    ]
    assert found[0] == found[1] == found[2]


def test_threads_see_the_modes_of_their_caller():
    seen = []

    class Modes(Noisy):
        def __getitem__(self, index):
            seen.append((minidl.ones(2, requires_grad=True) * 2).requires_grad)
            return index

    with minidl.no_grad():
        list(DataLoader(Modes(3), num_workers=2))
    list(DataLoader(Modes(3), num_workers=2))
    assert seen == [False] * 3 + [True] * 3


def test_threads_are_ahead_by_prefetch_factor_and_no_more():
    dataset = Counted(100)
    batches = iter(DataLoader(dataset, 2, num_workers=2, prefetch_factor=3))
    next(batches)
    assert _soon(lambda: len(dataset.asked) >= 14)
    time.sleep(0.05)  # so that one that is too far ahead shows
    # The batch in use, 2 · 3 ahead, and on a GPU one that is on its way there.
    assert sorted(dataset.asked) == list(range(14 if HERE == "cpu" else 16))
    batches.close()


# Randomness by key.


def test_outside_a_loader_the_generator_is_the_default_one():
    assert sample_generator() is default_generator
    list(DataLoader(Noisy(3)))
    assert sample_generator() is default_generator


def test_batches_epochs_and_seeds_have_numbers_of_their_own():
    seen = []
    for seed in (0, 1):
        loader = DataLoader(NoisyBatches(6), 3, generator=Generator(seed))
        seen += [x - i for epoch in epochs(loader, 3) for b in epoch for i, x in zip(*b, strict=1)]
    assert len({round(x, 4) for x in seen}) > 34
    one, other = (epochs(DataLoader(Noisy(6), 3, generator=Generator(4)), 2) for _ in range(2))
    assert one == other


def test_loading_takes_nothing_from_the_generator():
    generator = Generator(5)
    epochs(DataLoader(Noisy(6), 3, generator=generator), 2)
    assert generator.offset == 0


# Position and resuming.


def make(kind, settings, length=11):
    return DataLoader(Noisy(length), **{"generator": Generator(7), **settings, **kind})


@pytest.mark.parametrize("kind", KINDS[:3], ids=str)
@given(
    length=st.integers(1, 11),
    batch_size=st.integers(1, 4),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    stop=st.integers(0, 30),
)
def test_an_epoch_goes_on_where_it_was_interrupted(
    kind, length, batch_size, shuffle, drop_last, stop
):
    settings = {"batch_size": batch_size, "shuffle": shuffle, "drop_last": drop_last}
    whole = make({}, settings, length)
    expected = epochs(whole, 3)
    loader, stop = make(kind, settings, length), stop % (2 * len(whole) + 1)
    seen, state = 0, loader.state_dict()
    for epoch in range(2):
        for batch in loader:
            if seen == stop:
                break
            assert plain(batch) == expected[epoch][loader.position - 1]
            seen += 1
            state = json.loads(json.dumps(loader.state_dict()))
        else:
            continue
        break
    resumed = make(kind, settings | {"generator": Generator(99)}, length)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    epoch, at = resumed.epoch, resumed.position
    assert len(whole) * epoch + at == seen
    rest = epochs(resumed, 3 - epoch)
    assert rest == [expected[epoch][at:], *expected[epoch + 1 :]]
    if epoch < 3:
        assert resumed.generator.offset == whole.generator.offset
        assert resumed.state_dict() == whole.state_dict()


def test_an_epoch_of_processes_goes_on():
    kind = {"num_workers": 1, "workers": "processes"}
    settings = {"batch_size": 2, "shuffle": True}
    expected = epochs(make({}, settings), 2)
    loader = make(kind, settings)
    batches = iter(loader)
    assert [plain(next(batches)) for _ in range(2)] == expected[0][:2]
    state = loader.state_dict()
    assert (state["epoch"], state["batch"]) == (0, 2)  # delivered, whatever is ahead
    batches.close()
    with make(kind | {"persistent_workers": True}, settings) as resumed:
        resumed.load_state_dict(state)
        assert epochs(resumed, 2) == [expected[0][2:], expected[1]]


def test_the_position_is_that_of_the_batch_to_come():
    loader = DataLoader(Noisy(5), 2)
    assert (loader.epoch, loader.position) == (0, 0)
    assert [loader.position for _ in loader] == [1, 2, 3]
    assert (loader.epoch, loader.position) == (1, 0)
    for _ in loader:
        break
    assert (loader.epoch, loader.position) == (1, 1)
    assert [loader.epoch for _ in loader] == [2, 2, 2]


def test_a_state_from_between_epochs_fits_another_batch_size():
    loader = DataLoader(Noisy(5), 2, shuffle=True, generator=Generator(2))
    list(loader)
    other = DataLoader(Noisy(5), 3, shuffle=True, generator=Generator(0))
    other.load_state_dict(loader.state_dict())
    assert other.epoch == 1
    flat = [[i for batch in loader for i in batch[0].tolist()] for loader in (loader, other)]
    assert flat[0] == flat[1]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ((Noisy(6), 2, True), "samples 5.*cannot go on with samples 6"),
        ((Noisy(5), 3, True), "batch_size 2,.*batch_size 3"),
        ((Noisy(5), 2, False), "RandomSampler; .*SequentialSampler"),
    ],
)
def test_a_state_from_within_an_epoch_fits_no_other_loader(other, words):
    loader = DataLoader(Noisy(5), 2, shuffle=True)
    next(iter(loader))
    dataset, size, shuffle = other
    with pytest.raises(ArgumentError, match=f"load_state_dict: .*{words}"):
        DataLoader(dataset, size, shuffle).load_state_dict(loader.state_dict())


def test_what_is_no_state_is_refused_and_changes_nothing():
    loader = DataLoader(Noisy(5), 2, shuffle=True, generator=Generator(3))
    next(iter(loader))
    state = loader.state_dict()
    bad = [None, {}, [], {"epoch": 1}, state | {"batch": -1}, state | {"epoch": "1"}]
    bad += [
        state | {"began": {}},
        state | {"generator": {"seed": 1}},
        state | {"more": 1},
        state | {"loader": 3},
    ]
    bad += [state | {"generator": {"seed": 1.5, "offset": 0}}, state | {"batch": None}]
    for wrong in bad:
        with pytest.raises(ArgumentError, match=r"DataLoader\.load_state_dict: needs what"):
            loader.load_state_dict(wrong)
    assert loader.state_dict() == state


# Samplers.


class Walk:
    """Indices that depend on how often it was asked, with a state of its own."""

    def __init__(self):
        self.begun = 0

    def __len__(self):
        return 5

    def __iter__(self):
        self.begun += 1
        return iter([(self.begun + i) % 5 for i in range(5)])

    def state_dict(self):
        return {"begun": self.begun}

    def load_state_dict(self, state):
        self.begun = state["begun"]


SAMPLERS = {
    "weighted": lambda: {"sampler": WeightedRandomSampler([1, 2, 0, 3, 1], 9)},
    "with a generator": lambda: {"sampler": RandomSampler(range(5), Generator(3))},
    "stateful": lambda: {"sampler": Walk()},
    "a list": lambda: {"sampler": [4, 2, 0]},
    "an array": lambda: {"sampler": np.array([4, 2, 0, 1, 1])},
    "batches": lambda: {"batch_sampler": [[4, 2], [0], [1, 3, 3]], "batch_size": 1},
    "batches as arrays": lambda: {"batch_sampler": [np.array([4, 2]), np.array([0])]},
}


@pytest.mark.parametrize("kind", KINDS[:3:2], ids=str)
@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
@pytest.mark.parametrize("dataset", [Noisy, NoisyBatches])
def test_samplers_can_be_resumed(dataset, sampler, kind):
    def loader():
        minidl.manual_seed(4)
        given = sampler()
        size = {} if "batch_sampler" in given else {"batch_size": 2}
        return DataLoader(dataset(5), **size, **given, **kind)

    whole = loader()
    expected = epochs(whole, 3)
    stopped = loader()
    list(stopped)
    batches = iter(stopped)
    assert plain(next(batches)) == expected[1][0]
    random.uniform(3)  # as dropout would
    state = json.loads(json.dumps(stopped.state_dict()))
    batches.close()
    resumed = loader()
    resumed.load_state_dict(state)
    assert epochs(resumed, 1)[0] == expected[1][1:]
    assert resumed.generator.offset == state["generator"]["offset"]
    assert len(epochs(resumed, 1)[0]) == len(whole)


def test_samplers_give_the_indices():
    def batches(**given):
        return [x.tolist() for x in DataLoader(Counted(5), **given)]

    assert batches(sampler=[4, 2, 0], batch_size=2) == [[4, 2], [0]]
    assert batches(sampler=iter([4, 2, 0]), batch_size=2, drop_last=True) == [[4, 2]]
    assert batches(batch_sampler=[[1], [2, 3]]) == [[1], [2, 3]]
    assert list(SequentialSampler(range(3))) == [0, 1, 2]
    assert len(DataLoader(Noisy(5), 2, sampler=[4, 2, 0])) == 2
    assert len(DataLoader(Noisy(5), 2, sampler=[4, 2, 0], drop_last=True)) == 1
    assert len(DataLoader(Noisy(5), batch_sampler=[[1], [2, 3]])) == 2


def test_an_endless_sampler_is_consumed_lazily():
    def endless():
        while True:
            yield from range(5)

    loader = DataLoader(Noisy(5), 3, sampler=endless(), num_workers=2)
    batches = iter(loader)
    assert [next(batches)[0].tolist() for _ in range(3)] == [[0, 1, 2], [3, 4, 0], [1, 2, 3]]
    batches.close()
    with pytest.raises(DTypeError, match=r"DataLoader: generator .* has no length"):
        len(loader)


@pytest.mark.parametrize("replacement", [True, False])
def test_weights_say_how_often_a_sample_comes(replacement):
    weights = np.array([1.0, 0, 2, 5])
    generator = Generator(1)
    draws = [list(WeightedRandomSampler(weights, 2, replacement, generator)) for _ in range(3000)]
    first = Counter(order[0] for order in draws)
    pairs = Counter(map(tuple, draws))
    p = weights / weights.sum()
    for i in range(4):
        assert first[i] / 3000 == pytest.approx(p[i], abs=0.03)
        for j in range(4):
            after = p[j] if replacement else (i != j) * p[j] / (1 - p[i])
            assert pairs[i, j] / 3000 == pytest.approx(p[i] * after, abs=0.03)


def test_weights_may_be_of_any_size():
    for weights in ([1e308, 1e308], [5e-324, 0], [1, 1e-320]):
        for replacement in (True, False):
            order = list(WeightedRandomSampler(weights, 1, replacement, Generator(0)))
            assert weights[order[0]] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([-1, 2], 1), "weights are numbers ≥ 0"),
        (([0, 0], 1), "not all 0"),
        (([np.nan], 1), "weights are"),
        (([[1.0]], 1), "weights are"),
        (([], 1), "weights are"),
        (([1, 2], 0), "num_samples is a number ≥ 1; got 0"),
        (([1, 0], 2, False), "2 different samples cannot be drawn from 1"),
    ],
)
def test_weights_that_cannot_be_drawn_from(arguments, words):
    with pytest.raises(ArgumentError, match=f"WeightedRandomSampler: .*{words}"):
        WeightedRandomSampler(*arguments)


# What goes wrong.


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_an_exception_is_raised_where_its_batch_is_due(kind):
    batches = iter(DataLoader(Broken(20), 3, **kind))
    assert [next(batches).tolist() for _ in range(2)] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ZeroDivisionError, match="sample is broken") as caught:
        next(batches)
    told = "\n".join(caught.value.__notes__)
    assert "this is sample 7 of 20" in told
    assert "this is batch 2 of epoch 0, of the samples 6, 7, 8 among 20" in told
    if kind.get("workers") == "processes":
        assert "in a worker process:" in told
        assert "raise self.error" in told  # the traceback
    with pytest.raises(StopIteration):
        next(batches)


@pytest.mark.parametrize("kind", KINDS[:2], ids=str)
def test_an_exception_does_not_overtake_a_batch_on_its_way_to_a_device(kind):
    batches = iter(DataLoader(Broken(20), 3, **kind, device=TOY))
    assert [next(batches).tolist() for _ in range(2)] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ZeroDivisionError, match="sample is broken"):
        next(batches)
    with pytest.raises(StopIteration):
        next(batches)


@pytest.mark.parametrize("kind", KINDS[:2], ids=str)
def test_a_dataset_computes_on_the_host(kind):
    """Its indices are there, and so are the tensors that it makes."""
    with minidl.device(TOY):
        for dataset in (Noisy(5), NoisyBatches(5)):
            for indices, noisy in DataLoader(dataset, 2, **kind):
                assert indices.device == noisy.device == TOY
                assert 0 <= (noisy - indices).min().item() < 1


def test_an_exception_that_cannot_be_pickled_is_reported():
    dataset = Broken(3, NotForPickle, at=0)
    with pytest.raises(DataError, match="NotForPickle in a worker process: sample is") as caught:
        next(iter(DataLoader(dataset, num_workers=1, workers="processes")))
    assert "raise self.error" in caught.value.__notes__[0]


@pytest.mark.parametrize("kind", KINDS[:2], ids=str)
def test_errors_of_batches_name_them(kind):
    with pytest.raises(ShapeError, match="one shape") as caught:
        list(DataLoader([1, [1]], 2, **kind))
    assert "this is batch 0 of epoch 0, of the samples 0, 1 among 2" in caught.value.__notes__[0]
    tensors = TensorDataset(np.arange(4))
    with pytest.raises(BoundsError) as caught:
        list(DataLoader(tensors, 2, sampler=[0, 1, 2, 9], **kind))
    assert "batch 1 of epoch 0, of the samples 2, 9 among 4" in caught.value.__notes__[0]


def test_a_wrong_length_is_noticed():
    class Lying(list):
        def __len__(self):
            return 5

    with pytest.raises(IndexError) as caught:
        list(DataLoader(Lying([1, 2]), 2))
    assert "this is sample 2 of 5" in caught.value.__notes__[0]


def test_an_empty_dataset():
    assert list(DataLoader([], 2)) == []
    with pytest.raises(ArgumentError, match="dataset is empty: there is nothing to load"):
        DataLoader([], 2, shuffle=True)
    with pytest.raises(ShapeError, match="a batch needs at least one sample"):
        list(DataLoader([1], batch_sampler=[[]]))
    with pytest.raises(DTypeError, match="a batch needs integers as indices"):
        list(DataLoader(TensorDataset([1]), batch_sampler=[[]]))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"num_workers": -1}, ArgumentError, "num_workers is a number ≥ 0; got -1"),
        ({"prefetch_factor": 0}, ArgumentError, "prefetch_factor is a number ≥ 1"),
        ({"workers": "fork"}, ArgumentError, "threads.*processes.*got 'fork'"),
        ({"sampler": [1], "shuffle": True}, ArgumentError, "sampler replaces shuffle"),
        ({"batch_sampler": [[1]], "batch_size": 2}, ArgumentError, "replaces batch_size"),
        ({"batch_sampler": [[1]], "sampler": []}, ArgumentError, "replaces"),
        ({"batch_sampler": [[1]], "drop_last": True}, ArgumentError, "replaces"),
        ({"dataset": iter([1])}, DTypeError, "a dataset has a length and gives a sample"),
    ],
    ids=named,
)
def test_arguments_that_do_not_fit(given, error, words):
    with pytest.raises(error, match=f"DataLoader: .*{words}"):
        DataLoader(**{"dataset": Noisy(5)} | given)


def test_what_cannot_be_pickled_is_named():
    dataset = Noisy(3)
    dataset.inner = Noisy(2)
    dataset.inner.transform = lambda x: x
    dataset.inner.outer = dataset
    with pytest.raises(DataError, match=r"get the dataset by pickle, and Noisy\.inner\.transform"):
        list(DataLoader(dataset, num_workers=1, workers="processes"))
    with pytest.raises(DataError, match="get the collate_fn by pickle, and function"):
        list(DataLoader([1], collate_fn=lambda x: x, num_workers=1, workers="processes"))


def test_datasets_can_be_pickled():
    data = TensorDataset(np.arange(5))
    for dataset in (data, Subset(data, [3, 1]), ConcatDataset([data, data])):
        copy = pickle.loads(pickle.dumps(dataset))
        assert [x.tolist() for (x,) in DataLoader(copy, 3)] == [
            x.tolist() for (x,) in DataLoader(dataset, 3)
        ]


# Ends.


def test_a_process_that_is_killed_is_an_error():
    # With one batch ahead, the deadly third is begun when the first has arrived.
    one_ahead = {"num_workers": 1, "workers": "processes", "prefetch_factor": 1}
    batches = iter(DataLoader(Deadly(20), 2, **one_ahead))
    next(batches)
    with pytest.raises(DataError, match=r"DataLoader: a worker process was ended by signal 9"):
        list(batches)
    assert not multiprocessing.active_children()


def test_a_process_killed_while_another_is_slow_is_an_error_at_once(tmp_path):
    dataset = Slow(20, tmp_path / "done")
    with minidl.device("cpu"):  # a GPU would ask for a slow one at once, to send it
        batches = iter(DataLoader(dataset, 2, num_workers=2, workers="processes"))
    assert [next(batches).tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    threading.Timer(0.2, lambda: multiprocessing.active_children()[-1].kill()).start()
    with pytest.raises(DataError, match="signal 9"):
        next(batches)
    assert not dataset.done.exists(), "it waited for the slow one"


@pytest.mark.parametrize("kind", KINDS[1:], ids=str)
def test_leaving_early_stops_the_workers(kind, tmp_path):
    dataset = Slow(50, tmp_path / "done")
    for _ in DataLoader(dataset, 2, **kind):
        break
    assert not loader_threads()
    assert not multiprocessing.active_children()
    assert not dataset.done.exists(), "it waited for the slow ones"


SCRIPT = """
import time
from minidl.data import DataLoader
class Waiting(list):
    def __getitem__(self, index):
        time.sleep(0.05)
        return index
def main():
    for _ in DataLoader(Waiting(range(1000)), num_workers=1, workers={workers!r}):
        print("batch", flush=True)
{guard}main()
"""
GUARD = 'if __name__ == "__main__":\n    '


def _soon(happens):
    """Wait until something happens; the limit is only there so that no test waits for ever."""
    for _ in range(6000):
        if happens():
            return True
        time.sleep(0.01)
    return False


def _lives(group):
    """Whether anybody of a group of processes is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS[:3:2], ids=str)
def test_an_exception_in_the_loop_stops_the_workers_too(kind):
    def fail():
        for _ in DataLoader(Noisy(50), 2, **kind):
            raise ValueError("of the loop")

    with pytest.raises(ValueError, match="of the loop") as caught:
        fail()
    caught.value.__traceback__ = None  # which holds the loop
    assert not loader_threads()


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to a group of processes")
@pytest.mark.parametrize("workers", ["threads", "processes"])
def test_an_interrupt_ends_everything(tmp_path, workers):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(guard=GUARD, workers=workers))
    running = subprocess.Popen(
        [sys.executable, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stdout.readline() == "batch\n"
    os.killpg(running.pid, signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert told.count("KeyboardInterrupt") == 1
    assert running.returncode in (1, -signal.SIGINT)
    assert _soon(lambda: not _lives(running.pid))


def test_a_script_without_a_guard_gets_an_error_that_says_what_to_do(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(guard="", workers="processes"))
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "DataError: DataLoader: a worker process ended with status 1" in last
    assert "before its first batch" in last
    assert '`if __name__ == "__main__":`' in last
