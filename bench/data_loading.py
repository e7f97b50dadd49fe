"""The part of a training step that is spent waiting for its batch."""

import time
from typing import NamedTuple

import numpy as np

from minidl.data import DataLoader, TensorDataset
from minidl.models import CNN
from minidl.nn import CrossEntropyLoss
from minidl.optim import Adam

SAMPLES, BATCH = 3200, 32


class Epoch(NamedTuple):
    """An epoch of the cnn: the workers, its seconds, and those spent waiting for batches."""

    workers: int
    seconds: float
    waiting: float


def epochs() -> list[Epoch]:
    """Time an epoch with zero, one and two workers, after one that is not counted."""
    rng = np.random.default_rng(0)
    images = rng.random((SAMPLES, 1, 28, 28), np.float32)
    dataset = TensorDataset(images, rng.integers(0, 10, SAMPLES))
    model, loss = CNN(), CrossEntropyLoss()
    optimizer = Adam(model.parameters())

    def epoch(workers: int) -> Epoch:
        batches = iter(DataLoader(dataset, BATCH, shuffle=True, num_workers=workers))
        started, waiting = time.perf_counter(), 0.0
        while True:
            requested = time.perf_counter()
            batch = next(batches, None)
            waiting += time.perf_counter() - requested
            if batch is None:
                return Epoch(workers, time.perf_counter() - started, waiting)
            x, target = batch
            optimizer.zero_grad()
            loss(model(x), target).backward()
            optimizer.step()

    epoch(0)
    return [epoch(workers) for workers in (0, 1, 2)]
