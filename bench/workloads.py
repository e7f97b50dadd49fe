"""The workloads.

A Workload names a task, a function of every module in `bench.libraries`, and provides its
arguments as NumPy arrays and plain values.  Every call of `arguments()` draws the same values into
new arrays, so that both sides start alike and share nothing.

Its cost is the unavoidable minimum of any implementation: the floating-point operations (a function
such as tanh counts as one), and the compulsory memory traffic, each byte read or written once.

A Fresh is an action of `bench.child`, timed in new interpreters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

FLOAT = 4  # bytes in a float32


@dataclass(frozen=True)
class Workload:
    """A task, the arguments for both sides, and its minimum cost."""

    task: str
    arguments: Callable[[], dict[str, Any]]
    flops: float
    bytes: float


@dataclass(frozen=True)
class Fresh:
    """An action of a fresh interpreter.

    workload    the name of its workload, if there is one
    peer        what it is compared with, if not the peer
    cold        whether each interpreter starts with an empty cache of compiled kernels
    """

    action: str
    workload: str | None = None
    peer: str | None = None
    cold: bool = False


def classifier(*sizes: int, batch: int) -> Workload:
    """A training step of fully connected layers with ReLU between them: cross-entropy, Adam.

    The arguments hold the weights as a state dict of Sequential(Linear, ReLU, Linear, …).
    """

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        shapes = {2 * i: (n_out, n_in) for i, (n_in, n_out) in enumerate(pairwise(sizes))}
        state = _state(rng, shapes)
        x = _normal(rng, batch, sizes[0])
        return {"sizes": sizes, "state": state, "x": x, "target": _classes(rng, sizes[-1], batch)}

    weights = [n_in * n_out for n_in, n_out in pairwise(sizes)]
    parameters = sum(weights) + sum(sizes[1:])
    # y, dW and dx are a GEMM each; the first layer needs no dx.  Each parameter and its two moments
    # are read and written, its gradient is written and read.
    return Workload(
        "classifier",
        arguments,
        flops=2 * batch * (3 * sum(weights) - weights[0]),
        bytes=FLOAT * (batch * sizes[0] + 8 * parameters),
    )


def convnet(batch: int, side: int) -> Workload:
    """A training step of a small convolutional network: cross-entropy, Adam.

    The arguments hold the weights as a state dict of Sequential(Conv2d(1, 32, 3), ReLU,
    MaxPool2d(2), Conv2d(32, 64, 3), ReLU, MaxPool2d(2), Flatten, Linear(features, 128), ReLU,
    Linear(128, 10)).
    """
    first = side - 2
    second = first // 2 - 2
    features = 64 * (second // 2) ** 2
    shapes = {0: (32, 1, 3, 3), 3: (64, 32, 3, 3), 7: (128, features), 9: (10, 128)}

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        state = _state(rng, shapes)
        x = _normal(rng, batch, 1, side, side)
        return {"features": features, "state": state, "x": x, "target": _classes(rng, 10, batch)}

    # Every weight is used once for every pixel of the output, in three products: y, dW and dx, of
    # which the first layer needs no dx.
    pixels = {0: first**2, 3: second**2, 7: 1, 9: 1}
    uses = [prod(shape) * pixels[layer] for layer, shape in shapes.items()]
    parameters = sum(prod(shape) + shape[0] for shape in shapes.values())
    return Workload(
        "convnet",
        arguments,
        flops=2 * batch * (3 * sum(uses) - uses[0]),
        bytes=FLOAT * (batch * side**2 + 8 * parameters),
    )


def transformer(d_model: int, heads: int, hidden: int, batch: int, length: int) -> Workload:
    """A training step of a Transformer's encoder layer inside a network: mean squared error, Adam.

    The arguments hold the weights as the state dict of the layer.
    """
    shapes = {
        "self_attn.in_proj": (3 * d_model, d_model),
        "self_attn.out_proj": (d_model, d_model),
        "linear1": (hidden, d_model),
        "linear2": (d_model, hidden),
    }

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        state = _state(rng, shapes)
        for name in ("weight", "bias"):  # these two are no layers, whose names would have dots
            state[f"self_attn.in_proj_{name}"] = state.pop(f"self_attn.in_proj.{name}")
            for norm in ("norm1", "norm2"):
                state[f"{norm}.{name}"] = np.full(d_model, name == "weight", np.float32)
        return {
            "sizes": (d_model, heads, hidden),
            "state": state,
            "x": _normal(rng, batch, length, d_model),
            "target": _normal(rng, batch, length, d_model),
        }

    # Each weight is used for every position in three products: y, dW and dx.  Logits and means are
    # a product each, with two gradients each.
    weights = sum(map(prod, shapes.values()))
    positions = batch * length
    parameters = weights + sum(shape[0] for shape in shapes.values()) + 4 * d_model
    return Workload(
        "transformer",
        arguments,
        flops=2 * positions * (3 * weights + 6 * length * d_model),
        bytes=FLOAT * (3 * positions * d_model + 8 * parameters),
    )


def convolution(
    batch: int, channels: tuple[int, int], side: int, kernel: int, padding: int = 0, groups: int = 1
) -> Workload:
    """A convolution of square images, and all its gradients for a given output gradient."""
    n_in, n_out = channels
    weight = n_out, n_in // groups, kernel, kernel
    result = side + 2 * padding - kernel + 1

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {
            "x": _normal(rng, batch, n_in, side, side),
            "state": _layer(rng, *weight),
            "gradient": _normal(rng, batch, n_out, result, result),
            "padding": padding,
            "groups": groups,
        }

    # y, dx and dW: each element of the output is a dot product with the weights of its channel.
    # x, y, the weights and their gradients are read or written.
    outputs = batch * n_out * result**2
    return Workload(
        "convolution",
        arguments,
        flops=3 * 2 * prod(weight[1:]) * outputs,
        bytes=FLOAT * 2 * (batch * n_in * side**2 + outputs + prod(weight) + n_out),
    )


def batchnorm(*shape: int) -> Workload:
    """Batch normalisation, and the gradients of x, weight and bias for a given output gradient."""

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {
            "x": _normal(rng, *shape) * 2 + 1,
            "state": {
                **_layer(rng, shape[1]),
                "running_mean": np.zeros(shape[1], np.float32),
                "running_var": np.ones(shape[1], np.float32),
                "num_batches_tracked": np.array(0),
            },
            "gradient": _normal(rng, *shape),
        }

    # Forward the mean, x − mean, its square, their mean, and the affine map; backward the sums of
    # dy and of dy·x̂, and dy minus two terms, scaled.  x, y, dy and dx are read or written.
    n = prod(shape)
    return Workload("batchnorm", arguments, flops=14 * n, bytes=FLOAT * 4 * n)


def maxpool(*shape: int, kernel: int) -> Workload:
    """Max pooling over square windows, and the gradient of x for a given output gradient."""

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        pooled = *shape[:2], *(side // kernel for side in shape[2:])
        return {"x": _normal(rng, *shape), "gradient": _normal(rng, *pooled), "kernel": kernel}

    # A comparison for each element; x, dx, y and dy are read or written.
    n = prod(shape)
    return Workload("maxpool", arguments, flops=n, bytes=FLOAT * 2 * (n + n // kernel**2))


def elementwise(n: int) -> Workload:
    """Σ tanh(x·y + z), and its gradients with respect to x, y and z."""

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {name: _normal(rng, n) for name in "xyz"}

    # Forward four operations; backward 1 − t·t and two products.  Three arrays in, three out.
    return Workload("elementwise", arguments, flops=8 * n, bytes=FLOAT * 6 * n)


GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def recurrent(kind: str, inputs: int, hidden: int, steps: int, batch: int) -> Workload:
    """A recurrent layer over whole sequences, and all its gradients for a given output gradient.

    kind    rnn, lstm or gru
    """
    rows = GATES[kind] * hidden

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {
            "kind": kind,
            "state": _recurrent_state(rng, rows, inputs, hidden),
            "x": _normal(rng, steps, batch, inputs),
            "gradient": _normal(rng, steps, batch, hidden),
        }

    # The weights are used in each step of each sequence: for the gates, and for their gradients
    # by x and h, and by the weights.  x, y and their gradients are read or written.
    weights = rows * (inputs + hidden)
    return Workload(
        "recurrent",
        arguments,
        flops=3 * 2 * steps * batch * weights,
        bytes=FLOAT * 2 * (steps * batch * (inputs + hidden) + weights),
    )


def recurrent_step(kind: str, inputs: int, hidden: int) -> Workload:
    """One step of one sequence by a recurrent layer, without gradients: as text is generated."""
    rows = GATES[kind] * hidden

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {
            "kind": kind,
            "state": _recurrent_state(rng, rows, inputs, hidden),
            "x": _normal(rng, 1, 1, inputs),
            "before": [_normal(rng, 1, 1, hidden) for _ in range(1 + (kind == "lstm"))],
        }

    weights = rows * (inputs + hidden)
    return Workload("recurrent_step", arguments, flops=2 * weights, bytes=FLOAT * weights)


def softmax_ce(batch: int, classes: int) -> Workload:
    """The cross-entropy of logits, and its gradient."""

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {"logits": _normal(rng, batch, classes), "target": _classes(rng, classes, batch)}

    # The maximum, the difference, exp, the sum, the quotient: logits in, their gradient out.
    n = batch * classes
    return Workload("softmax_ce", arguments, flops=5 * n, bytes=FLOAT * 2 * n)


def attention(
    batch: int, length: int, d_model: int, heads: int, causal: bool = False, masked: bool = False
) -> Workload:
    """Self-attention of several heads, and the gradients of query, key and value.

    Each is (batch, length, heads, size), as it lies in memory in layers, of which the heads are a
    transposed view.  A mask of bools is the same for all samples, and hides about one key of three.
    """
    shape = batch, length, heads, d_model // heads

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {
            "qkv": [_normal(rng, *shape) for _ in range(3)],
            "gradient": _normal(rng, *shape),
            "mask": rng.random((length, length)) < 2 / 3 if masked else None,
            "is_causal": causal,
        }

    # The logits, y, and of both two gradients are products of a number for each query and key; so
    # are the exponentials, and some five operations each way.  Causality leaves out half of that.
    pairs = batch * length * (length + 1) / 2 if causal else batch * length**2
    mask = length**2 if masked else 0
    return Workload(
        "attention",
        arguments,
        flops=pairs * (6 * 2 * d_model + 10 * heads),
        bytes=FLOAT * 8 * prod(shape) + mask,
    )


def embedding(rows: int, width: int, ids: int) -> Workload:
    """Rows of a table, and the dense gradient of the table for a given output gradient."""

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {
            "weight": _normal(rng, rows, width),
            "ids": rng.integers(rows, size=ids),
            "gradient": _normal(rng, ids, width),
        }

    # Each selected row and its gradient are read and written; the table's gradient is written.
    picked = ids * width
    return Workload("embedding", arguments, picked, bytes=FLOAT * (rows * width + 4 * picked))


def sparse_embedding(rows: int, width: int, ids: tuple[int, ...]) -> Workload:
    """A training step of a table whose gradient is row-sparse: mean squared error, SparseAdam."""

    def arguments() -> dict[str, Any]:
        rng = np.random.default_rng(0)
        return {
            "weight": _normal(rng, rows, width),
            "ids": rng.integers(rows, size=ids),
            "target": _normal(rng, *ids, width),
        }

    # Of each selected row, its target is read, the gradient is written and read, and the row and
    # its two moments are read and written.
    picked = prod(ids) * width
    return Workload("sparse_embedding", arguments, flops=16 * picked, bytes=FLOAT * 9 * picked)


def adam(*shapes: tuple[int, ...], fused: bool = False) -> Workload:
    """A step of Adam on parameters of these shapes; `fused` requests a library's fused kernel."""

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


def _classes(rng: np.random.Generator, classes: int, batch: int) -> np.ndarray:
    return rng.integers(classes, size=batch)


def _layer(rng: np.random.Generator, *weight: int) -> dict[str, np.ndarray]:
    """The state of a layer whose weight has this shape, initialised as in PyTorch."""
    bound = prod(weight[1:]) ** -0.5
    return {"weight": _uniform(rng, bound, *weight), "bias": _uniform(rng, bound, weight[0])}


def _state(
    rng: np.random.Generator, weights: Mapping[Any, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """The state dict of a module with weights of these shapes, by layer."""
    return {
        f"{layer}.{name}": array
        for layer, shape in weights.items()
        for name, array in _layer(rng, *shape).items()
    }


def _recurrent_state(
    rng: np.random.Generator, rows: int, inputs: int, hidden: int
) -> dict[str, np.ndarray]:
    """The state dict of a recurrent layer, initialised as in PyTorch."""
    shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden)}
    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    return {f"{name}_l0": _uniform(rng, hidden**-0.5, *shape) for name, shape in shapes.items()}


FIVE_MILLION = ((1000, 1000),) * 4 + ((400, 250),) * 8 + ((100, 100),) * 20

WORKLOADS: dict[str, Workload | Fresh] = {
    "mlp": classifier(784, 128, 64, 10, batch=32),
    "mlp-tiny": classifier(20, 32, 32, 4, batch=16),
    "mlp-wide": classifier(784, 128, 64, 10, batch=1024),
    "cnn": convnet(batch=32, side=28),
    "conv-1-32": convolution(32, (1, 32), side=28, kernel=3),
    "conv-32-64": convolution(32, (32, 64), side=13, kernel=3),
    "conv-64-64": convolution(4, (64, 64), side=56, kernel=3, padding=1),
    "conv-256-256": convolution(4, (256, 256), side=14, kernel=3, padding=1),
    "conv-1x1": convolution(4, (64, 256), side=56, kernel=1),
    "conv-depthwise": convolution(4, (128, 128), side=28, kernel=3, padding=1, groups=128),
    "batchnorm": batchnorm(32, 64, 28, 28),
    "maxpool": maxpool(32, 32, 26, 26, kernel=2),
    "elementwise": elementwise(1_000_000),
    "softmax-ce": softmax_ce(256, 1000),
    "transformer": transformer(128, heads=4, hidden=512, batch=16, length=64),
    "attention-64": attention(16, 64, 128, heads=4),
    "attention-64-causal": attention(16, 64, 128, heads=4, causal=True),
    "attention-1024": attention(16, 1024, 128, heads=4),
    "attention-1024-causal": attention(16, 1024, 128, heads=4, causal=True),
    "attention-1024-mask": attention(16, 1024, 128, heads=4, masked=True),
    "embedding": embedding(50_000, 64, ids=4096),
    "embedding-sparse": sparse_embedding(50_000, 64, ids=(32, 50)),
    "rnn": recurrent("rnn", 64, 128, steps=50, batch=32),
    "lstm": recurrent("lstm", 64, 128, steps=50, batch=32),
    "gru": recurrent("gru", 64, 128, steps=50, batch=32),
    "lstm-long": recurrent("lstm", 64, 128, steps=400, batch=32),
    "lstm-step": recurrent_step("lstm", 64, 128),
    "adam": adam(*FIVE_MILLION),
    "adam-fused": adam(*FIVE_MILLION, fused=True),
    "import": Fresh("import"),
    "import-numpy": Fresh("import", peer="numpy"),
    "first-step": Fresh("first-step", "mlp"),
    "first-step-cold": Fresh("first-step", "mlp", cold=True),
    "first-step-cnn": Fresh("first-step", "cnn"),
    "first-step-cnn-cold": Fresh("first-step", "cnn", cold=True),
}
