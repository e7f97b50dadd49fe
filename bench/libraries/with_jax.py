"""The tasks in JAX: functions of arrays, compiled whole."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

Step = Callable[[], Sequence[Array]]
State = Mapping[str, np.ndarray]


def numpy(x: Array) -> np.ndarray:
    """The values as a NumPy array."""
    return np.asarray(x)


def set_threads(threads: int) -> None:
    """Limit XLA's pools, which are created when JAX first computes and are fixed from then on."""
    os.environ["NPROC"] = str(threads)


def classifier(sizes: Sequence[int], state: State, x: np.ndarray, target: np.ndarray) -> Step:
    """A training step."""
    layers = range(len(sizes) - 1)

    def model(state: State, x: Array) -> Array:
        for layer in layers:
            x = _linear(state, 2 * layer, x)
            x = jax.nn.relu(x) if layer < len(layers) - 1 else x
        return x

    return _training(model, state, x, target)


def convnet(features: int, state: State, x: np.ndarray, target: np.ndarray) -> Step:
    """A training step."""

    def model(state: State, x: Array) -> Array:
        for layer in (0, 3):
            bias = state[f"{layer}.bias"][:, None, None]
            x = _maxpool(jax.nn.relu(_conv(x, state[f"{layer}.weight"]) + bias), 2)
        x = jax.nn.relu(_linear(state, 7, x.reshape(-1, features)))
        return _linear(state, 9, x)

    return _training(model, state, x, target)


def _linear(state: State, layer: int, x: Array) -> Array:
    return x @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]


def _conv(x: Array, weight: Array, padding: int = 0, groups: int = 1) -> Array:
    return lax.conv_general_dilated(
        x, weight, (1, 1), [(padding, padding)] * 2, feature_group_count=groups
    )


def _maxpool(x: Array, kernel: int) -> Array:
    window = 1, 1, kernel, kernel
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def _cross_entropy(logits: Array, target: Array) -> Array:
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], axis=1)
    return -chosen.mean()


def _training(
    model: Callable[[State, Array], Array], state: State, x: np.ndarray, target: np.ndarray
) -> Step:
    """A step of Adam on the cross-entropy of a model."""
    x, target = jnp.asarray(x), jnp.asarray(target)

    @jax.jit
    def trained(state: State, m: State, v: State, number: Array) -> Any:
        loss, gradients = jax.value_and_grad(lambda state: _cross_entropy(model(state, x), target))(
            state
        )
        return loss, *_adam(state, gradients, m, v, number)

    state = jax.tree.map(jnp.asarray, dict(state))
    moments = [jax.tree.map(jnp.zeros_like, state) for _ in range(2)]
    number = 0

    def step() -> Sequence[Array]:
        nonlocal state, moments, number
        number += 1
        loss, state, *moments = jax.block_until_ready(trained(state, *moments, number))
        return [loss]

    return step


def _adam(state: Any, gradients: Any, m: Any, v: Any, number: Array) -> tuple[Any, Any, Any]:
    """The parameters and their moments after a step of Adam."""
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
    rate, correction = 1e-3 / (1 - 0.9**number), jnp.sqrt(1 - 0.999**number)

    def changed(p: Array, m: Array, v: Array) -> Array:
        return p - rate * m / (jnp.sqrt(v) / correction + 1e-8)

    return jax.tree.map(changed, state, m, v), m, v


def convolution(
    x: np.ndarray, state: State, gradient: np.ndarray, padding: int, groups: int
) -> Step:
    """A convolution and its gradients."""

    def layer(x: Array, weight: Array, bias: Array) -> Array:
        return _conv(x, weight, padding, groups) + bias[:, None, None]

    return _forward_backward(layer, (x, state["weight"], state["bias"]), gradient)


def batchnorm(x: np.ndarray, state: State, gradient: np.ndarray) -> Step:
    """Batch normalisation, and its gradients."""

    def layer(x: Array, weight: Array, bias: Array) -> Array:
        mean = x.mean((0, 2, 3), keepdims=True)
        variance = x.var((0, 2, 3), keepdims=True)
        normal = (x - mean) * lax.rsqrt(variance + 1e-5)
        return normal * weight[:, None, None] + bias[:, None, None]

    return _forward_backward(layer, (x, state["weight"], state["bias"]), gradient)


def maxpool(x: np.ndarray, gradient: np.ndarray, kernel: int) -> Step:
    """Max pooling, and its gradient."""
    return _forward_backward(lambda x: _maxpool(x, kernel), (x,), gradient)


def elementwise(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Step:
    """Σ tanh(x·y + z) and its gradients."""
    return _value_and_gradients(lambda x, y, z: jnp.tanh(x * y + z).sum(), x, y, z)


def softmax_ce(logits: np.ndarray, target: np.ndarray) -> Step:
    """Cross-entropy and its gradient."""
    target = jnp.asarray(target)
    return _value_and_gradients(lambda logits: _cross_entropy(logits, target), logits)


def embedding(weight: np.ndarray, ids: np.ndarray, gradient: np.ndarray) -> Step:
    """Rows of a table, and the gradient of the table."""
    ids = jnp.asarray(ids)
    return _forward_backward(lambda weight: weight[ids], (weight,), gradient)


def adam(parameters: Sequence[Any], gradients: Sequence[Any], fused: bool) -> Step:
    """A step of Adam, compiled for all parameters, whose buffers are donated to the new ones."""
    parameters, gradients = jax.tree.map(jnp.asarray, (list(parameters), list(gradients)))
    moments = [jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)]
    changed = jax.jit(_adam, donate_argnums=(0, 2, 3))
    number = 0

    def step() -> Sequence[Array]:
        nonlocal parameters, moments, number
        number += 1
        parameters, *moments = changed(parameters, gradients, *moments, number)
        return jax.block_until_ready(parameters)

    return step


def _value_and_gradients(function: Callable[..., Array], *arrays: np.ndarray) -> Step:
    """A scalar function, and its gradients."""
    compiled = jax.jit(jax.value_and_grad(function, tuple(range(len(arrays)))))
    arrays = [jnp.asarray(array) for array in arrays]

    def step() -> Sequence[Array]:
        value, gradients = jax.block_until_ready(compiled(*arrays))
        return [value, *gradients]

    return step


def _forward_backward(
    function: Callable[..., Array], arrays: Sequence[np.ndarray], gradient: np.ndarray
) -> Step:
    """A function of arrays, and its gradients for a given output gradient."""

    @jax.jit
    def both(gradient: Array, *arrays: Array) -> Sequence[Array]:
        y, pullback = jax.vjp(function, *arrays)
        return [y, *pullback(gradient)]

    gradient, *arrays = map(jnp.asarray, (gradient, *arrays))
    return lambda: jax.block_until_ready(both(gradient, *arrays))
