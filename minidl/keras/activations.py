"""Activation functions under Keras's names; softmax is over the last axis.

Layers accept a name, one of these functions, or any function of a tensor.
"""

from collections.abc import Callable
from typing import Any

from minidl import nn, ops
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError
from minidl.keras.data_format import to_channels_first, to_channels_last
from minidl.nn import Module
from minidl.ops import elu, gelu, log_softmax, relu, sigmoid, silu, softmax, softplus, tanh
from minidl.train.losses import named

# fmt: off
__all__ = [
    "elu", "exponential", "gelu", "get", "hard_sigmoid", "leaky_relu", "linear", "log_softmax",
    "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh",
]
# fmt: on

Activation = str | Callable[[Tensor], Tensor] | None


def linear(x: Tensor) -> Tensor:
    """y = x, the activation of a layer without one.

    >>> from minidl.keras import activations
    >>> x = minidl.tensor([-1.0, 2.0])
    >>> activations.linear(x) is x
    True
    """
    return x


def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """y = x where x > 0, else negative_slope·x.  Maas et al. 2013.

    The default slope is Keras's 0.2; that of `minidl.leaky_relu` is PyTorch's 0.01.

    >>> from minidl.keras import activations
    >>> x = minidl.tensor([-1.0, 0.0, 2.0])
    >>> activations.leaky_relu(x)
    Tensor([-0.2,  0. ,  2. ], float32)
    >>> activations.leaky_relu(x, negative_slope=0.5)
    Tensor([-0.5,  0. ,  2. ], float32)
    """
    return ops.leaky_relu(x, negative_slope)


def relu6(x: Tensor) -> Tensor:
    """y = min(max(x, 0), 6).  Howard et al. 2017.

    >>> from minidl.keras import activations
    >>> x = minidl.tensor([-1.0, 3.0, 8.0], requires_grad=True)
    >>> y = activations.relu6(x)
    >>> y.sum().backward()
    >>> y.numpy(), x.grad.numpy()
    (array([0., 3., 6.], dtype=float32), array([0., 1., 0.], dtype=float32))
    """
    return ops.clip(x, 0, 6)


def hard_sigmoid(x: Tensor) -> Tensor:
    """y = min(max(x/6 + ½, 0), 1), a cheap sigmoid.  Courbariaux et al. 2015.

    >>> from minidl.keras import activations
    >>> activations.hard_sigmoid(minidl.tensor([-4.0, 0.0, 1.5, 4.0])).tolist()
    [0.0, 0.5, 0.75, 1.0]
    """
    return ops.hardsigmoid(x)


def selu(x: Tensor) -> Tensor:
    """y = λx where x > 0, else λα(eˣ − 1); λ = 1.0507, α = 1.6733.  Klambauer et al. 2017.

    With these constants, inputs of mean 0 and variance 1 give outputs of mean 0 and variance 1.

    >>> from minidl.keras import activations
    >>> y = activations.selu(minidl.random.normal((5000,))).numpy()
    >>> bool(abs(y.mean()) < 0.05), bool(abs(y.var() - 1) < 0.05)
    (True, True)
    """
    return 1.0507009873554805 * ops.elu(x, 1.6732632423543772)


def softsign(x: Tensor) -> Tensor:
    """y = x / (1 + |x|), in (−1, 1); dy/dx = 1 / (1 + |x|)².  Bergstra et al. 2009.

    >>> from minidl.keras import activations
    >>> x = minidl.tensor([-1.0, 0.0, 3.0], requires_grad=True)
    >>> y = activations.softsign(x)
    >>> y.sum().backward()
    >>> y.tolist(), x.grad.tolist()
    ([-0.5, 0.0, 0.75], [0.25, 1.0, 0.0625])
    """
    return x / (1 + ops.abs(x))


def exponential(x: Tensor) -> Tensor:
    """y = eˣ; dy/dx = y.

    >>> from minidl.keras import activations
    >>> x = minidl.tensor([0.0, 1.0], dtype="float64", requires_grad=True)
    >>> y = activations.exponential(x)
    >>> y.sum().backward()
    >>> bool((x.grad == y).all()), round(y[1].item(), 4)
    (True, 2.7183)
    """
    return ops.exp(x)


_NAMES: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": linear,
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "softmax": softmax,
    "elu": elu,
    "gelu": gelu,
    "silu": silu,
    "swish": silu,
    "softplus": softplus,
    "leaky_relu": leaky_relu,
    "relu6": relu6,
    "hard_sigmoid": hard_sigmoid,
    "selu": selu,
    "softsign": softsign,
    "exponential": exponential,
    "log_softmax": log_softmax,
}
_BY_AXIS = {softmax: nn.Softmax, log_softmax: nn.LogSoftmax}
_ELEMENTWISE: dict[Any, type[Module]] = {relu: nn.ReLU, sigmoid: nn.Sigmoid}


class Function(Module):
    """A function of a tensor as a module.

    channels_first    the module's input is channels-first; the function's is channels-last
    """

    def __init__(self, function: Callable[[Tensor], Tensor], channels_first: bool = False) -> None:
        self.function, self.channels_first = function, channels_first

    def forward(self, x: Tensor) -> Tensor:
        """function(x)."""
        if not self.channels_first or x.ndim < 3:
            return self.function(x)
        return to_channels_first(self.function(to_channels_last(x)))

    def extra_repr(self) -> str:
        """The name of the function."""
        function = getattr(self.function, "func", self.function)  # of a partial
        return getattr(function, "__name__", repr(function))


def get(activation: Activation) -> Callable[[Tensor], Tensor]:
    """The activation of this name, in upper or lower case; a function is returned unchanged.

    None is `linear`, and "swish" is another name for `silu`.  Raises ArgumentError for an unknown
    name, and for anything that is neither a name nor a function.

    >>> from minidl.keras import activations
    >>> activations.get("relu") is activations.relu, activations.get(None) is activations.linear
    (True, True)
    >>> activations.get("rleu")
    Traceback (most recent call last):
    minidl.errors.ArgumentError: activations.get: no activation 'rleu'; did you mean 'relu'? ...
    """
    if activation is None:
        return linear
    if isinstance(activation, str):
        return named("activations.get", "activation", _NAMES, activation)
    if not callable(activation):
        raise ArgumentError(
            f"activations.get: needs a name, or a function of a tensor; got {activation!r:.60}"
        )
    return activation


def modules_of(function: Callable[[Tensor], Tensor], channels_first: bool = False) -> list[Module]:
    """The function as the modules at the end of a layer: one, or none for the identity.

    channels_first    whether the channels are on axis 1 rather than on the last
    """
    if function is linear:
        return []
    if function in _BY_AXIS:
        return [_BY_AXIS[function](dim=1 if channels_first else -1)]
    if function in _ELEMENTWISE:
        return [_ELEMENTWISE[function]()]
    return [Function(function, channels_first and function not in _NAMES.values())]


def is_elementwise(function: Callable[[Tensor], Tensor]) -> bool:
    """Whether the function is known to be elementwise, so that the order of axes is irrelevant."""
    return function in _NAMES.values() and function not in _BY_AXIS
