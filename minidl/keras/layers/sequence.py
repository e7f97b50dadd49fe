"""Layers of sequences (N, T, C): masking of padding, and pooling over time."""

from typing import Any

from minidl import ops
from minidl.keras.checks import channels_last
from minidl.keras.graph.tensor import Shape
from minidl.keras.layers.base import Layer


class Masking(Layer):
    """Masks the steps of (N, T, C) of which all features are mask_value, and makes them 0.

    >>> from minidl.keras import layers
    >>> x = np.array([[[1.0, 0.0], [0.0, 0.0]]])
    >>> layers.Masking()(x).mask.tolist()
    [[True, False]]
    """

    makes_masks = True

    def __init__(self, mask_value: float = 0.0, **common: Any) -> None:
        super().__init__(**common)
        self.mask_value = mask_value

    def call(self, inputs: Any) -> Any:
        """The input, with 0 for the masked steps."""
        return ops.where(self.compute_mask(inputs)[..., None], inputs, 0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The same."""
        return tuple(input_shape)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Which steps have a feature other than mask_value."""
        return ops.any(inputs != self.mask_value, axis=-1)


class _GlobalPooling1D(Layer):
    """The base of global pooling over time."""

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **common: Any
    ) -> None:
        super().__init__(**common)
        channels_last(type(self).__name__, data_format)
        self.keepdims = bool(keepdims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, T, C) → (N, C), or (N, 1, C) with keepdims."""
        if len(input_shape) != 3:
            raise self.error("needs sequences (N, T, C); got", tuple(input_shape))
        batch, _, channels = input_shape
        return (batch, 1, channels) if self.keepdims else (batch, channels)

    def build(self, input_shape: Any) -> None:
        """Check the shape."""
        self.compute_output_shape(input_shape)
        self.built = True


class GlobalAveragePooling1D(_GlobalPooling1D):
    """The mean over time: (N, T, C) → (N, C); of the steps that a mask says are there.

    A sequence of padding alone has mean 0.

    >>> from minidl.keras import layers
    >>> layers.GlobalAveragePooling1D()(np.array([[[1.0], [5.0]]])).tolist()
    [[3.0]]
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The mean."""
        if mask is None:
            return ops.mean(inputs, axis=1, keepdims=self.keepdims)
        there = mask[..., None]
        total = ops.sum(ops.where(there, inputs, 0), axis=1, keepdims=self.keepdims)
        count = ops.sum(there.astype(inputs.dtype), axis=1, keepdims=self.keepdims)
        return total / ops.maximum(count, 1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """None: there are no steps left."""
        return None


class GlobalMaxPooling1D(_GlobalPooling1D):
    """The maximum over time: (N, T, C) → (N, C); it knows no masks.

    >>> from minidl.keras import layers
    >>> layers.GlobalMaxPooling1D()(np.array([[[1.0], [5.0]]])).tolist()
    [[5.0]]
    """

    def call(self, inputs: Any) -> Any:
        """The maximum."""
        return ops.max(inputs, axis=1, keepdims=self.keepdims)
