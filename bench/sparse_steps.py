"""What a training step costs as the table of embeddings grows.

    python -m bench.sparse_steps

A step is forward, backward and the optimiser's, of 1,024 random ids in a table of 64 columns;
minidl and PyTorch take turns in one process, and the medians are printed, in milliseconds.

    SGD          sparse=True: the gradient has the rows that were used, and only those are changed
    lazy Adam    the same with the moments of these rows; PyTorch's SparseAdam
    Adam         a dense gradient, and the moments of all rows: the time grows with the table
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

import minidl

_IDS, _WIDTH = 1024, 64
_ROWS = 10_000, 100_000, 1_000_000
Step = Callable[[np.ndarray], None]


def step_of_minidl(optimizer: str, rows: int) -> Step:
    """A step for these ids."""
    kinds: dict[str, Any] = {
        "SGD": lambda weights: minidl.optim.SGD(weights, 0.01),
        "lazy Adam": lambda weights: minidl.optim.Adam(weights, 0.001, lazy=True),
        "Adam": lambda weights: minidl.optim.Adam(weights, 0.001),
    }
    table = minidl.nn.Embedding(rows, _WIDTH, sparse=optimizer != "Adam")
    return _step(table, kinds[optimizer](table.parameters()), minidl.asarray)


def step_of_torch(optimizer: str, rows: int) -> Step:
    """A step for these ids."""
    import torch

    kinds: dict[str, Any] = {
        "SGD": lambda weights: torch.optim.SGD(weights, 0.01),
        "lazy Adam": lambda weights: torch.optim.SparseAdam(weights, 0.001),
        "Adam": lambda weights: torch.optim.Adam(weights, 0.001),
    }
    table = torch.nn.Embedding(rows, _WIDTH, sparse=optimizer != "Adam")
    return _step(table, kinds[optimizer](list(table.parameters())), torch.from_numpy)


def _step(table: Any, optimizer: Any, tensor: Callable[[np.ndarray], Any]) -> Step:
    def step(ids: np.ndarray) -> None:
        optimizer.zero_grad()
        (table(tensor(ids)) ** 2).sum().backward()
        optimizer.step()

    return step


def measured(optimizer: str, rows: int, rounds: int) -> tuple[float, float]:
    """The medians of the times of a step, ours and PyTorch's, in seconds."""
    rng = np.random.default_rng(0)
    steps = step_of_minidl(optimizer, rows), step_of_torch(optimizer, rows)
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 2):
        ids = rng.integers(0, rows, _IDS)
        for step, own in zip(steps, times, strict=True):
            started = time.perf_counter()
            step(ids)
            if turn >= 2:  # the first ones allocate and compile
                own.append(time.perf_counter() - started)
    return median(times[0]), median(times[1])


def main() -> None:
    """Print a line for each optimiser and size."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    minidl.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    print(f"{'':10} {'rows':>9} {'minidl':>9} {'PyTorch':>9} {'ratio':>6}")
    for optimizer in ("SGD", "lazy Adam", "Adam"):
        for rows in _ROWS:
            ours, theirs = measured(optimizer, rows, options.rounds)
            print(
                f"{optimizer:10} {rows:9,} {ours * 1e3:9.3f} {theirs * 1e3:9.3f} "
                f"{ours / theirs:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
