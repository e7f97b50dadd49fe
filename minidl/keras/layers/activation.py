"""Activation layers."""

from typing import Any

from minidl import nn, ops
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError
from minidl.keras import activations
from minidl.keras.layers import calling
from minidl.keras.layers.base import Layer, Shape
from minidl.keras.masking import as_mask
from minidl.nn import Module


class Activation(Layer):
    """An activation by name, or any function of a channels-last tensor.

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((3,)), layers.Activation("relu")])
    >>> net(minidl.tensor([[-1.0, 0.0, 2.0]]))
    Tensor([[0., 0., 2.]], shape=(1, 3), float32)
    """

    order = "last"
    supports_masking = True

    def __init__(self, activation: activations.Activation, **common: Any) -> None:
        super().__init__(**common)
        self.activation = activations.get(activation)
        if activations.is_elementwise(self.activation):
            self.order = "any"

    def make(self, shape: Shape) -> list[Module]:
        """The function as a module, or none for the identity."""
        return activations.modules_of(self.activation)


class ReLU(Layer):
    """min(x, max_value) where x ≥ threshold, else negative_slope·(x − threshold).

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((3,)), layers.ReLU(max_value=1.0)])
    >>> net(minidl.tensor([[-1.0, 0.0, 2.0]]))
    Tensor([[-0.,  0.,  1.]], shape=(1, 3), float32)
    """

    supports_masking = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        settings = {"max_value": max_value, "slope": negative_slope, "threshold": threshold}
        for name, value in settings.items():
            if value is not None and not value >= 0:
                raise ArgumentError(f"ReLU: {name} is not negative; got {value!r}")
        self.max_value, self.negative_slope = max_value, negative_slope
        self.threshold = threshold

    def make(self, shape: Shape) -> list[Module]:
        """A ReLU, or a function if there are settings."""
        if self.max_value is None and not self.negative_slope and not self.threshold:
            return [nn.ReLU()]
        return [activations.Function(self._compute)]

    def _compute(self, x: Tensor) -> Tensor:
        below = self.negative_slope * (x - self.threshold)
        above = x if self.max_value is None else ops.clip(x, max=self.max_value)
        return ops.where(x >= self.threshold, above, below)


class LeakyReLU(Layer):
    """x where x > 0, else negative_slope·x.

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((3,)), layers.LeakyReLU(0.5)])
    >>> net(minidl.tensor([[-1.0, 0.0, 2.0]]))
    Tensor([[-0.5,  0. ,  2. ]], shape=(1, 3), float32)
    """

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **common: Any) -> None:
        super().__init__(**common)
        self.negative_slope = negative_slope

    def make(self, shape: Shape) -> list[Module]:
        """A LeakyReLU."""
        return [nn.LeakyReLU(self.negative_slope)]


class ELU(Layer):
    """x where x > 0, else α(eˣ − 1).

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((3,)), layers.ELU()])
    >>> net(minidl.tensor([[-1.0, 0.0, 2.0]]))
    Tensor([[-0.63212055,  0.        ,  2.        ]], shape=(1, 3), float32)
    """

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **common: Any) -> None:
        super().__init__(**common)
        self.alpha = alpha

    def make(self, shape: Shape) -> list[Module]:
        """An ELU."""
        return [nn.ELU(self.alpha)]


class Softmax(Layer):
    """exp xᵢ / Σⱼ exp xⱼ along an axis, by default the last.

    Called with a mask of the input's shape, elements where it is False are left out: they are 0.

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((3,)), layers.Softmax()])
    >>> net(minidl.tensor([[-1.0, 0.0, 2.0]]))
    Tensor([[0.04201007, 0.11419519, 0.8437947 ]], shape=(1, 3), float32)
    """

    order = "last"
    supports_masking = True

    def __init__(self, axis: int = -1, **common: Any) -> None:
        super().__init__(**common)
        self.axis = axis

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The same."""
        if not -len(input_shape) <= self.axis < len(input_shape):
            raise self.error(f"needs an axis {self.axis}; got", input_shape)
        return tuple(input_shape)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The softmax of all elements, or of those in a mask that is passed."""
        mask = kwargs.pop("mask", None)
        if mask is None:
            return super()._run(args, kwargs)
        (x,), mask = self._given(calling.signature(self.call), args, {})[0], as_mask(mask)
        lowest = ops.finfo(x.dtype).min
        return ops.where(mask, ops.softmax(ops.where(mask, x, lowest), axis=self.axis), 0)

    def make(self, shape: Shape) -> list[Module]:
        """A Softmax."""
        return [nn.Softmax(dim=self.axis)]
