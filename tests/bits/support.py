"""What the cases share: fixed random numbers, and the value and gradients of a function of them."""

from collections.abc import Callable
from typing import Any

import numpy as np

import minidl
from minidl import nn

# A name, and the function that computes the arrays.
Case = tuple[str, Callable[[], list[Any]]]

DTYPES = "float32", "float64"


def random(*shape: int, seed: int = 0, dtype: str = "float32") -> Any:
    """Normal numbers."""
    return minidl.asarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def special(*shape: int, seed: int = 0, dtype: str = "float32") -> Any:
    """The same, with a few numbers of every other kind among them."""
    x = random(*shape, seed=seed, dtype=dtype).numpy().copy()
    tiny, largest = np.finfo(dtype).tiny, np.finfo(dtype).max
    others = [np.nan, np.inf, -np.inf, 0, -0.0, tiny / 8, -tiny / 8, largest, -largest]
    some = x.reshape(-1)[seed::17]
    some[:] = np.resize(others, some.size)
    return minidl.asarray(x)


def integers(n: int, *shape: int, dtype: str = "int64") -> Any:
    """Integers in 0 … n − 1."""
    return minidl.asarray(np.random.default_rng(n).integers(0, n, shape).astype(dtype))


def gradients(function: Callable[..., Any], *inputs: Any) -> list[Any]:
    """The value of a function, and the gradient of Σ value·random at each input."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    y = function(*leaves)
    y.backward(random(*y.shape, seed=99, dtype=str(y.dtype)))
    return [y.detach(), *(leaf.grad for leaf in leaves)]


def gradients_of_sum(function: Callable[..., Any], *inputs: Any) -> list[Any]:
    """Σ value, and its gradients: of the value it is one number, broadcast."""
    return gradients(lambda *leaves: minidl.sum(function(*leaves)), *inputs)


def of_layer(layer: nn.Module, x: Any, dx: bool = True) -> list[Any]:
    """The output of a layer, and the gradients of its parameters, and of its input if wanted."""
    for i, parameter in enumerate(layer.parameters()):
        with minidl.no_grad():
            parameter[...] = random(*parameter.shape, seed=i + 1, dtype=str(parameter.dtype)) * 0.2
    values = gradients(layer, x) if dx else gradients(lambda: layer(x))
    return [*values, *(p.grad for p in layer.parameters()), *layer.state_dict().values()]
