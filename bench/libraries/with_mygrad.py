"""The tasks in MyGrad, which has no optimisers: Adam is written out in NumPy."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import mygrad
import numpy as np
from mygrad import Tensor
from mygrad.nnet import batchnorm as normalized
from mygrad.nnet import conv_nd, max_pool, relu, softmax_crossentropy

from bench.errors import MissingTaskError

Step = Callable[[], Sequence[Tensor]]
State = Mapping[str, np.ndarray]


def numpy(x: Tensor | np.ndarray) -> np.ndarray:
    """The values, without a copy."""
    return np.asarray(x)


def set_threads(threads: int) -> None:
    """Nothing: NumPy's BLAS has the only pool."""


def classifier(sizes: Sequence[int], state: State, x: np.ndarray, target: np.ndarray) -> Step:
    """A training step."""
    layers = range(len(list(pairwise(sizes))))

    def model(state: Mapping[str, Tensor], x: Tensor) -> Tensor:
        for layer in layers:
            x = _linear(state, 2 * layer, x)
            x = relu(x) if layer < len(layers) - 1 else x
        return x

    return _training(model, state, x, target)


def convnet(features: int, state: State, x: np.ndarray, target: np.ndarray) -> Step:
    """A training step."""

    def model(state: Mapping[str, Tensor], x: Tensor) -> Tensor:
        for layer in (0, 3):
            bias = state[f"{layer}.bias"].reshape(-1, 1, 1)
            x = relu(conv_nd(x, state[f"{layer}.weight"], stride=1) + bias)
            x = _maxpool(x, 2)
        x = relu(_linear(state, 7, x.reshape(-1, features)))
        return _linear(state, 9, x)

    return _training(model, state, x, target)


def _maxpool(x: Tensor, kernel: int) -> Tensor:
    """Max pooling; MyGrad's windows must cover the image exactly, so the rest is cropped."""
    height, width = (side // kernel * kernel for side in x.shape[2:])
    return max_pool(x[:, :, :height, :width], (kernel, kernel), kernel)


def _linear(state: Mapping[str, Tensor], layer: int, x: Tensor) -> Tensor:
    return x @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]


def _training(
    model: Callable[..., Tensor], state: State, x: np.ndarray, target: np.ndarray
) -> Step:
    """A step of Adam on the cross-entropy of a model."""
    state = {name: mygrad.tensor(array) for name, array in state.items()}
    step_of_adam = _adam(list(state.values()))

    def step() -> Sequence[Tensor]:
        loss = softmax_crossentropy(model(state, x), target)
        loss.backward()
        step_of_adam()
        return [loss]

    return step


def _adam(parameters: Sequence[Tensor]) -> Callable[[], None]:
    """Steps of Adam, in place."""
    moments = [(np.zeros_like(p.data), np.zeros_like(p.data)) for p in parameters]
    number = 0

    def step() -> None:
        nonlocal number
        number += 1
        rate, correction = 1e-3 / (1 - 0.9**number), (1 - 0.999**number) ** 0.5
        for p, (m, v) in zip(parameters, moments, strict=True):
            m *= 0.9
            m += 0.1 * p.grad
            v *= 0.999
            v += 0.001 * p.grad**2
            p.data -= rate * m / (np.sqrt(v) / correction + 1e-8)

    return step


def convolution(
    x: np.ndarray, state: State, gradient: np.ndarray, padding: int, groups: int
) -> Step:
    """A convolution and its gradients."""
    if groups > 1:
        raise MissingTaskError("MyGrad's convolutions have no groups")

    def layer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return conv_nd(x, weight, stride=1, padding=padding) + bias.reshape(-1, 1, 1)

    return _forward_backward(layer, (x, state["weight"], state["bias"]), gradient)


def batchnorm(x: np.ndarray, state: State, gradient: np.ndarray) -> Step:
    """Batch normalisation, and its gradients."""

    def layer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return normalized(x, gamma=weight, beta=bias, eps=1e-5)

    return _forward_backward(layer, (x, state["weight"], state["bias"]), gradient)


def maxpool(x: np.ndarray, gradient: np.ndarray, kernel: int) -> Step:
    """Max pooling, and its gradient."""
    return _forward_backward(lambda x: _maxpool(x, kernel), (x,), gradient)


def elementwise(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Step:
    """Σ tanh(x·y + z) and its gradients."""
    x, y, z = map(mygrad.tensor, (x, y, z))

    def step() -> Sequence[Tensor]:
        total = mygrad.tanh(x * y + z).sum()
        total.backward()
        return [total, x.grad, y.grad, z.grad]

    return step


def softmax_ce(logits: np.ndarray, target: np.ndarray) -> Step:
    """Cross-entropy and its gradient."""
    logits = mygrad.tensor(logits)

    def step() -> Sequence[Tensor]:
        loss = softmax_crossentropy(logits, target)
        loss.backward()
        return [loss, logits.grad]

    return step


def embedding(weight: np.ndarray, ids: np.ndarray, gradient: np.ndarray) -> Step:
    """Rows of a table, and the gradient of the table."""
    return _forward_backward(lambda weight: weight[ids], (weight,), gradient)


def adam(parameters: Sequence[np.ndarray], gradients: Sequence[np.ndarray], fused: bool) -> Step:
    """MyGrad has no optimisers."""
    raise MissingTaskError("MyGrad has no optimisers")


def _forward_backward(
    function: Callable[..., Tensor], arrays: Sequence[np.ndarray], gradient: np.ndarray
) -> Step:
    """A function of tensors, and its gradients for a given output gradient."""
    tensors = [mygrad.tensor(array) for array in arrays]

    def step() -> Sequence[Tensor]:
        y = function(*tensors)
        y.backward(gradient)
        return [y, *(tensor.grad for tensor in tensors)]

    return step
