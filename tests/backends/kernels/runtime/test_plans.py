"""Plans are kept within a number of bytes."""

from threading import Barrier, Thread

import numpy as np
import pytest

import minidl
from minidl.backends.kernels.runtime import plans
from minidl.backends.kernels.runtime.plans import planned, size_of


@pytest.fixture
def made(monkeypatch):
    """A planned function of the size of its table, and the sizes that it was called with."""
    monkeypatch.setattr(plans, "LIMIT", 100_000)
    plans.forget()
    calls = []

    @planned
    def table(size, kind="plain"):
        calls.append(size)
        return ((np.zeros(size // 8),), kind)

    yield table, calls
    plans.forget()


def test_a_plan_is_made_once(made):
    table, calls = made
    assert table(8000) is table(8000)
    assert table(8000) is not table(8000, "another")
    assert calls == [8000, 8000]


def test_the_bytes_of_plans_are_counted():
    table = np.zeros((3, 5), np.int64)
    assert size_of((1, None, (table, (table[:1], 2.5)), "name")) == 120 + 40


def test_those_that_were_not_used_for_long_are_dropped(made):
    table, calls = made
    first, second = table(30_000), table(40_000)
    assert table(30_000) is first
    table(35_000)  # one too many: 40,000 were not used since 30,000 were
    assert plans.bytes_kept() <= 100_000
    assert table(30_000) is first
    assert table(40_000) is not second
    assert calls == [30_000, 40_000, 35_000, 40_000]


def test_a_plan_beyond_the_limit_is_not_kept(made):
    table, calls = made
    small = table(8000)
    table(200_000)
    table(200_000)
    assert table(8000) is small
    assert calls == [8000, 200_000, 200_000]


def test_forgetting_counts_from_nothing(made):
    table, _ = made
    table(8000)
    plans.forget()
    assert plans.bytes_kept() == 0
    table(90_000)
    assert 90_000 < plans.bytes_kept() <= 100_000


def test_threads_may_make_plans_at_once(made):
    table, _ = made
    together, wrong = Barrier(4), []

    def run(seed):
        rng = np.random.default_rng(seed)
        together.wait()
        sizes = (rng.integers(1, 60, 2000) * 1000).tolist()
        wrong.extend([size for size in sizes if table(size)[0][0].nbytes != size])

    running = [Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not wrong
    kept = sum(size for _, size in plans._kept.values())
    assert kept == plans.bytes_kept() <= 100_000


def most_bytes_for(height, width):
    """The most bytes of plans in the course of a hundred sizes: convolution and both poolings."""
    plans.forget()
    weight, most = minidl.ones((2, 1, 3, 3), requires_grad=True), 0
    for i in range(100):
        x = minidl.ones((1, 1, height + i, width), requires_grad=True)
        y = minidl.conv2d(x, weight, padding=1)
        y = minidl.avg_pool2d(minidl.max_pool2d(y, 3, 1), 2, 1)
        y.sum().backward()
        most = max(most, plans.bytes_kept())
    plans.forget()
    return most


def test_a_hundred_sizes_of_pictures_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(plans, "LIMIT", 2 << 20)
    assert plans.LIMIT // 2 < most_bytes_for(50, 60) <= plans.LIMIT


@pytest.mark.full
def test_a_hundred_large_pictures_do_not_fill_the_memory():
    assert plans.LIMIT // 2 < most_bytes_for(300, 700) <= plans.LIMIT
