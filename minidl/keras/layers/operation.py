"""Functions as layers: Lambda, and the operators of symbolic tensors."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, describe
from minidl.keras.checks import shape_of
from minidl.keras.graph.tensor import KerasTensor
from minidl.keras.layers import calling
from minidl.keras.layers.base import Layer

_NAMES = {
    operator.getitem: "get_item",
    operator.sub: "subtract",
    operator.mul: "multiply",
    operator.truediv: "divide",
    operator.neg: "negative",
    operator.ne: "not_equal",
    operator.lt: "less",
    operator.le: "less_equal",
    operator.gt: "greater",
    operator.ge: "greater_equal",
}


class Lambda(Layer):
    """A function of a tensor, or of a list of them, as a layer; written with those of `minidl`.

    output_shape    the shape of a sample of the output; by default found by trying the function
    mask            the mask of the output, or a function of the inputs and their mask
    arguments       more arguments of the function, by name

    It has no weights: a function that uses some belongs into a `Layer` with a `call`.  Its output
    has the dtype that the function gives it.

    >>> from minidl.keras import Input, layers
    >>> layer = layers.Lambda(lambda x: x[:, ::-1] ** 2)
    >>> layer(np.array([[1.0, 2.0]])).tolist(), layer(Input((3,))).shape
    ([[4.0, 1.0]], (None, 3))
    """

    has_precision = False

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if not callable(function):
            raise ArgumentError(f"Lambda: needs a function; got {describe(function)}")
        self.function, self.arguments = function, dict(arguments or {})
        self.mask, self.given_shape = mask, output_shape
        self.supports_masking = mask is not None

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """function(inputs), with `mask` and `training` if it takes them."""
        names = calling.signature(self.function).names
        more = {"mask": mask, "training": training}
        more = {name: value for name, value in more.items() if name in names}
        return self.function(inputs, **{**self.arguments, **more})

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape given as output_shape, or found by trying."""
        if self.given_shape is None:
            return super().compute_output_shape(input_shape)
        if callable(self.given_shape):
            return self.given_shape(input_shape)
        batch = input_shape[0] if not isinstance(input_shape[0], tuple) else input_shape[0][0]
        return batch, *shape_of("Lambda", self.given_shape)

    def output_spec(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], arguments: dict[str, Any]
    ) -> Any:
        """The symbolic outputs of a call."""
        if self.given_shape is None:
            return self._tried(args, kwargs)
        return super().output_spec(args, kwargs, arguments)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask that was given, or that the function given as mask computes."""
        return self.mask(inputs, mask) if callable(self.mask) else self.mask


class Operation(Layer):
    """An operator or an index applied to symbolic tensors, as a call in a graph.

    function    of the tensors and constants, such as `operator.add`
    """

    is_operation = True
    has_precision = False

    def __init__(self, function: Callable[..., Any]) -> None:
        name = getattr(function, "__name__", "operation").strip("_")
        super().__init__()
        self.name = self.base_name = _NAMES.get(function, name)
        self.function = function
        self.built = True

    def call(self, *operands: Any) -> Any:
        """function(*operands)."""
        return self.function(*operands)

    def _given(self, signature: Any, args: Any, kwargs: Any) -> Any:
        """The operands as they are: numbers stay weak, and indices are not arrays."""
        return args, kwargs, {str(i): x for i, x in enumerate(args)}


def operate(function: Callable[..., Any], *operands: Any) -> Any:
    """Record function(*operands), of symbolic tensors and constants."""
    # A list in an index is an array of positions, and no structure of tensors.
    whole = [np.asarray(x) if isinstance(x, list) else x for x in operands]
    return Operation(function)(*whole)


KerasTensor.operate = staticmethod(operate)
