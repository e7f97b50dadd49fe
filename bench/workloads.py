"""What is measured.

A Workload names a task, which is a function of every file in `bench.libraries`, and gives the
arguments of that function, as NumPy arrays and plain values.  Every call of `arguments()` draws
the same numbers into new arrays, so that both sides begin alike and share nothing.

Its cost is what cannot be avoided, however the task is programmed: the floating-point operations
(a function such as tanh counts as one), and the bytes that must be read or written once.

A Fresh is an action of `bench.child`, timed in new interpreters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

FLOAT = 4  # bytes in a float32


@dataclass(frozen=True)
class Workload:
    """A task, the arguments that both sides do it with, and its least cost."""

    task: str
    arguments: Callable[[], dict[str, Any]]
    flops: float
    bytes: float


@dataclass(frozen=True)
class Fresh:
    """An action for new interpreters, its arguments, and its opponent if that is not the peer."""

    action: str
    arguments: tuple[str, ...] = ()
    peer: str | None = None


def classifier(*sizes: int, batch: int) -> Workload:
    """A training step of fully connected layers with ReLU between them: cross-entropy, Adam.

    The arguments hold the weights as a state dict of Sequential(Linear, ReLU, Linear, …).
    """

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        state = {}
        for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
            bound = n_in**-0.5
            state[f"{2 * layer}.weight"] = _uniform(rng, bound, n_out, n_in)
            state[f"{2 * layer}.bias"] = _uniform(rng, bound, n_out)
        x = _normal(rng, batch, sizes[0])
        return {
            "sizes": sizes,
            "state": state,
            "x": x,
            "target": rng.integers(sizes[-1], size=batch),
        }

    weights = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    parameters = sum(weights) + sum(sizes[1:])
    # Forward, dW and dx are a GEMM each; the first layer needs no dx.  Each parameter and its two
    # moments are read and written, its gradient is written and read.
    return Workload(
        "classifier",
        arguments,
        flops=2 * batch * (3 * sum(weights) - weights[0]),
        bytes=FLOAT * (batch * sizes[0] + 8 * parameters),
    )


def elementwise(n: int) -> Workload:
    """Σ tanh(x·y + z), and its gradient with respect to all three."""

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {name: _normal(rng, n) for name in "xyz"}

    # Four operations forward; backward 1 − t·t and two products.  Three arrays in, three out.
    return Workload("elementwise", arguments, flops=8 * n, bytes=FLOAT * 6 * n)


def softmax_ce(batch: int, classes: int) -> Workload:
    """The cross-entropy of logits, and its gradient."""

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {"logits": _normal(rng, batch, classes), "target": rng.integers(classes, size=batch)}

    # The largest, minus it, exp, the sum, divided by it: logits in, their gradient out.
    n = batch * classes
    return Workload("softmax_ce", arguments, flops=5 * n, bytes=FLOAT * 2 * n)


def embedding(rows: int, width: int, ids: int) -> Workload:
    """Rows of a table, and the dense gradient of the table for a given gradient of these rows."""

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {
            "weight": _normal(rng, rows, width),
            "ids": rng.integers(rows, size=ids),
            "gradient": _normal(rng, ids, width),
        }

    # Each row used is read and written, so is its gradient; the gradient of the table is written.
    picked = ids * width
    return Workload("embedding", arguments, picked, bytes=FLOAT * (rows * width + 4 * picked))


def adam(*shapes: tuple[int, ...], fused: bool = False) -> Workload:
    """A step of Adam on parameters of these shapes; `fused` asks a library for its fused kernel."""

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {
            "parameters": [_normal(rng, *shape) for shape in shapes],
            "gradients": [_normal(rng, *shape) for shape in shapes],
            "fused": fused,
        }

    # The parameter and its two moments are read and written, the gradient is read.
    n = sum(map(prod, shapes))
    return Workload("adam", arguments, flops=12 * n, bytes=FLOAT * 7 * n)


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def _uniform(rng: np.random.Generator, bound: float, *shape: int) -> np.ndarray:
    return rng.uniform(-bound, bound, shape).astype(np.float32)


FIVE_MILLION = ((1000, 1000),) * 4 + ((400, 250),) * 8 + ((100, 100),) * 20

WORKLOADS: dict[str, Workload | Fresh] = {
    "mlp": classifier(784, 128, 64, 10, batch=32),
    "mlp-tiny": classifier(20, 32, 32, 4, batch=16),
    "mlp-wide": classifier(784, 128, 64, 10, batch=1024),
    "elementwise": elementwise(1_000_000),
    "softmax-ce": softmax_ce(256, 1000),
    "embedding": embedding(50_000, 64, ids=4096),
    "adam": adam(*FIVE_MILLION),
    "adam-fused": adam(*FIVE_MILLION, fused=True),
    "import": Fresh("import"),
    "import-numpy": Fresh("import", peer="numpy"),
    "first-step": Fresh("first-step", ("mlp",)),
}
