"""How much of a training step goes into loading its batch."""

import time
from typing import NamedTuple

import numpy as np

from minidl.data import DataLoader, TensorDataset
from minidl.models import CNN
from minidl.nn import CrossEntropyLoss
from minidl.optim import Adam

SAMPLES, BATCH = 3200, 32


class Share(NamedTuple):
    """An epoch of the cnn, with so many workers: seconds in all, and of these, for a batch."""

    workers: int
    seconds: float
    waiting: float


def shares() -> list[Share]:
    """An epoch each without workers, with one and with two, after one that is not counted."""
    rng = np.random.default_rng(0)
    pictures = rng.random((SAMPLES, 1, 28, 28), np.float32)
    dataset = TensorDataset(pictures, rng.integers(0, 10, SAMPLES))
    model, loss = CNN(), CrossEntropyLoss()
    optimizer = Adam(model.parameters())

    def epoch(workers: int) -> Share:
        batches = iter(DataLoader(dataset, BATCH, shuffle=True, num_workers=workers))
        started, waiting = time.perf_counter(), 0.0
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            waiting += time.perf_counter() - asked
            if batch is None:
                return Share(workers, time.perf_counter() - started, waiting)
            x, target = batch
            optimizer.zero_grad()
            loss(model(x), target).backward()
            optimizer.step()

    epoch(0)
    return [epoch(workers) for workers in (0, 1, 2)]
