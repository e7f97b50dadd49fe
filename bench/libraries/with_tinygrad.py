"""The tasks in tinygrad, each step compiled by its TinyJit; it needs clang on the path."""

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from tinygrad import Context, Device, Tensor, TinyJit, nn
from tinygrad.helpers import NUM_CPU_THREADS
from tinygrad.nn.optim import Adam
from tinygrad.nn.state import get_parameters, load_state_dict

Step = Callable[[], Sequence[Tensor]]
State = Mapping[str, np.ndarray]
Model = list[Callable[[Tensor], Tensor]]


def numpy(x: Tensor) -> np.ndarray:
    """The values as a NumPy array."""
    return x.numpy()


def set_threads(threads: int) -> None:
    """The maximum number of threads of a kernel, here and in child processes."""
    NUM_CPU_THREADS.value = threads
    os.environ["NUM_CPU_THREADS"] = str(threads)


def classifier(sizes: Sequence[int], state: State, x: np.ndarray, target: np.ndarray) -> Step:
    """A training step."""
    layers = [layer for n, m in pairwise(sizes) for layer in (nn.Linear(n, m), Tensor.relu)]
    return _training(layers[:-1], state, x, target)


def convnet(features: int, state: State, x: np.ndarray, target: np.ndarray) -> Step:
    """A training step."""
    layers = [
        *(nn.Conv2d(1, 32, 3), Tensor.relu, Tensor.max_pool2d),
        *(nn.Conv2d(32, 64, 3), Tensor.relu, Tensor.max_pool2d),
        *(lambda x: x.flatten(1), nn.Linear(features, 128), Tensor.relu, nn.Linear(128, 10)),
    ]
    return _training(layers, state, x, target)


def _training(layers: Model, state: State, x: np.ndarray, target: np.ndarray) -> Step:
    """A step of Adam on the cross-entropy of a model."""
    _load(layers, state)
    optimizer = Adam(get_parameters(layers), lr=1e-3)
    x, target = Tensor(x).realize(), Tensor(target).realize()

    def step() -> Sequence[Tensor]:
        optimizer.zero_grad()
        loss = x.sequential(layers).sparse_categorical_crossentropy(target).backward()
        Tensor.realize(loss, *optimizer.schedule_step())
        return [loss]

    return _compiled(step)


def convolution(
    x: np.ndarray, state: State, gradient: np.ndarray, padding: int, groups: int
) -> Step:
    """A convolution and its gradients."""
    n_out, n_in, *kernel = state["weight"].shape
    layer = nn.Conv2d(n_in * groups, n_out, kernel[0], padding=padding, groups=groups)
    return _layer(layer, state, x, gradient)


def batchnorm(x: np.ndarray, state: State, gradient: np.ndarray) -> Step:
    """Batch normalisation, and its gradients."""
    return _layer(nn.BatchNorm2d(x.shape[1]), state, x, gradient)


def maxpool(x: np.ndarray, gradient: np.ndarray, kernel: int) -> Step:
    """Max pooling, and its gradient."""
    return _forward_backward(lambda x: x.max_pool2d((kernel, kernel)), (Tensor(x),), gradient)


def elementwise(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Step:
    """Σ tanh(x·y + z) and its gradients."""
    arrays = Tensor(x), Tensor(y), Tensor(z)
    return _forward_backward(lambda x, y, z: (x * y + z).tanh().sum(), arrays)


def softmax_ce(logits: np.ndarray, target: np.ndarray) -> Step:
    """Cross-entropy and its gradient."""
    target = Tensor(target).realize()
    return _forward_backward(
        lambda logits: logits.sparse_categorical_crossentropy(target), (Tensor(logits),)
    )


def adam(parameters: Sequence[np.ndarray], gradients: Sequence[np.ndarray], fused: bool) -> Step:
    """A step of Adam: for each parameter, or fused over their concatenation."""
    parameters = [Tensor(array).realize() for array in parameters]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = Tensor(gradient).realize()
    optimizer = Adam(parameters, lr=1e-3, fused=fused)

    def step() -> Sequence[Tensor]:
        optimizer.step()
        return parameters

    return _compiled(step)


def _layer(layer: Any, state: State, x: np.ndarray, gradient: np.ndarray) -> Step:
    """A layer, and all its gradients for a given output gradient."""
    _load(layer, state)
    return _forward_backward(
        lambda x, *_: layer(x), (Tensor(x), layer.weight, layer.bias), gradient
    )


def _load(model: Any, state: State) -> None:
    load_state_dict(model, {name: Tensor(array) for name, array in state.items()}, verbose=False)


def _forward_backward(
    function: Callable[..., Tensor], arrays: Sequence[Tensor], gradient: np.ndarray | None = None
) -> Step:
    """A function of tensors, and its gradients for a given output gradient, or of a scalar."""
    arrays = [array.realize() for array in arrays]
    given = None if gradient is None else Tensor(gradient).realize()

    def step() -> Sequence[Tensor]:
        y = function(*arrays)
        results = [y, *y.gradient(*arrays, gradient=given)]
        Tensor.realize(*results)
        return results

    return _compiled(step)


def _compiled(step: Step) -> Step:
    """The step, replayed by TinyJit from its third call, and synchronised."""
    replayed = TinyJit(step)

    def finished() -> Sequence[Tensor]:
        with Context(TRAINING=1):
            results = replayed()
        Device[Device.DEFAULT].synchronize()
        return results

    return finished
