"""The base of layers: settings that become modules once the shape of the input is known."""

import re
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minidl import nn, ops
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.keras import initializers
from minidl.keras.checks import positive, refuse, shape_of
from minidl.keras.data_format import Cast, ChannelsFirst, ChannelsLast
from minidl.nn import Module, Parameter

Shape = tuple[int | None, ...]  # with the batch first; None for lengths that are not known

_NOT_OFFERED = {
    "kernel_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "embeddings_regularizer",
    "beta_regularizer",
    "gamma_regularizer",
    "kernel_constraint",
    "bias_constraint",
    "embeddings_constraint",
    "beta_constraint",
    "gamma_constraint",
    "lora_rank",
    "batch_input_shape",
}


class Variable(NamedTuple):
    """A tensor of a layer under Keras's name.

    axes    axis i in Keras is axis axes[i] of the tensor: a kernel (out, in) is (in, out) in Keras
    """

    name: str
    tensor: Tensor
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in Keras."""
        return tuple(self.tensor.shape[axis] for axis in self.axes)

    def value(self) -> np.ndarray:
        """A copy of the values, in Keras's order of axes."""
        return np.ascontiguousarray(self.tensor.numpy().transpose(self.axes)).copy()

    def assign(self, value: Any) -> None:
        """Write values given in Keras's order of axes."""
        given = ops.asarray(value)
        if given.shape != self.shape:
            raise ShapeError(f"{self.name} needs shape {self.shape}; got {given.shape}")
        inverse = tuple(np.argsort(self.axes).tolist())
        with no_grad():
            self.tensor[...] = ops.permute_dims(given, inverse).astype(self.tensor.dtype)


_KERNEL_AXES = {2: (1, 0), 4: (2, 3, 1, 0)}  # (out, in) and (out, in, h, w), as Keras has them


class Layer:
    """The base of layers: settings from which `build` makes modules of `minidl.nn`.

    name           for messages and summaries; default: derived from the class's name
    trainable      whether its weights are trained; may be changed later, before `compile`
    dtype          the dtype of its weights, by default "float32"
    input_shape    the shape of a sample; lets a model be built before it sees data
    input_dim      the same for samples that are vectors: input_shape=(input_dim,)

    A subclass defines `make` and `compute_output_shape`.  The batch is None in shapes.

    >>> from minidl.keras import layers, Sequential
    >>> layer = layers.Dense(2)
    >>> layer.compute_output_shape((None, 4))
    (None, 2)
    """

    order: str = "any"  # where its modules need the channels: "first", "last" or "any"
    variable_names: ClassVar[dict[str, str]] = {}  # attributes of a module → Keras's names

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        input_shape: Any = None,
        input_dim: int | None = None,
        **others: Any,
    ) -> None:
        kind = type(self).__name__
        refuse(kind, others, _NOT_OFFERED)
        if input_dim is not None:
            input_shape = (positive(kind, "input_dim", input_dim),)
        self.input_shape = None if input_shape is None else shape_of(kind, input_shape)
        self.name, self.has_own_name = name or snake_case(kind), name is not None
        self.dtype = dtype or "float32"
        self.parts: list[Module] = []
        self.built_for: Shape | None = None
        self._trainable = bool(trainable)

    # What a subclass defines.

    def make(self, shape: Shape) -> list[Module]:
        """The modules that compute the layer for inputs of this shape, channels as in `order`."""
        return []

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the output for inputs of this shape; ShapeError if they do not fit."""
        return tuple(input_shape)

    def lengths(self, shape: Shape) -> Shape:
        """The lengths that the shapes of its weights depend on."""
        return shape[-1:]

    # Common to all layers.

    @property
    def built(self) -> bool:
        """Whether the layer has its weights."""
        return self.built_for is not None

    def build(self, input_shape: Shape) -> None:
        """Create the weights for inputs of this shape, (None, …), unless they exist."""
        shape = tuple(input_shape)
        self.compute_output_shape(shape)  # raises if the shape does not fit
        if self.built_for is None:
            self.parts = [part.eval() for part in self.make(shape)]
            self.built_for = shape
            self.trainable = self._trainable
        elif self.variables and self.lengths(shape) != self.lengths(self.built_for):
            raise self.error(f"was built for inputs {written(self.built_for)}; got", shape)

    def __call__(self, x: Any, training: bool = False) -> Tensor:
        """Apply the layer to a channels-last tensor or array; `training` as in `fit`."""
        x = ops.asarray(x)
        self.build((None, *x.shape[1:]))
        network = nn.Sequential(Cast(self.input_dtype), *in_order([self], (None, *x.shape[1:])))
        try:
            return network.train(training)(x)
        finally:
            network.eval()

    @property
    def input_dtype(self) -> str:
        """The dtype that inputs are converted to."""
        return self.dtype

    @property
    def trainable(self) -> bool:
        """Whether its weights are trained."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for part in self.parts:
            part.requires_grad_(self._trainable)

    @property
    def variables(self) -> list[Variable]:
        """Its tensors in Keras's order: those that are trained first."""
        tensors = {}
        for part in self.parts:
            own = vars(part)
            tensors.update({name: own[name] for name in self.variable_names if name in own})
        variables = []
        for name, keras_name in self.variable_names.items():
            tensor = tensors.get(name)
            if tensor is not None:
                axes = tuple(range(tensor.ndim))
                axes = _KERNEL_AXES[tensor.ndim] if keras_name == "kernel" else axes
                variables.append(Variable(f"{self.name}/{keras_name}", tensor, axes))
        return variables

    @property
    def weights(self) -> list[Tensor]:
        """Its tensors in minidl's order of axes: the kernel of a Dense is (out, in)."""
        return [variable.tensor for variable in self.variables]

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The weights that are trained."""
        return [x for x in self.weights if isinstance(x, Parameter) and x.requires_grad]

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """The weights that are not trained."""
        return [x for x in self.weights if not (isinstance(x, Parameter) and x.requires_grad)]

    def count_params(self) -> int:
        """The number of elements of its weights."""
        self.must_be_built("count_params")
        return sum(x.size for x in self.weights)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of its weights, in Keras's order of axes: (in, out), (h, w, in, out)."""
        return [variable.value() for variable in self.variables]

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Write weights in the form that `get_weights` returns; an error changes nothing."""
        self.must_be_built("set_weights")
        variables, weights = self.variables, [np.asarray(w) for w in weights]
        needs, given = [v.shape for v in variables], [w.shape for w in weights]
        if needs != given:
            names = ", ".join(f"{v.name} {v.shape}" for v in variables)
            raise ShapeError(
                f"set_weights: {self.title} needs arrays of shapes {needs} ({names}); got {given}"
            )
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def must_be_built(self, who: str) -> Shape:
        """The shape that the layer was built for; raise if it was not."""
        if self.built_for is None:
            raise ArgumentError(
                f"{who}: {self.title} has no weights yet; give the first layer an input_shape, "
                "call build(input_shape), or use it on data"
            )
        return self.built_for

    @property
    def title(self) -> str:
        """Its name in messages: `dense_1 (Dense)`."""
        return f"{self.name} ({type(self).__name__})"

    def error(self, needs: str, shape: Shape) -> ShapeError:
        """The error for an input of a shape that does not fit."""
        return ShapeError(f"{self.title} {needs} {written(shape)}")

    def parameter(self, tensor: Tensor, initializer: Any, kernel: bool = False) -> None:
        """Initialize a parameter of a module."""
        axes = _KERNEL_AXES[tensor.ndim] if kernel else tuple(range(tensor.ndim))
        variable = Variable(f"{self.title}: an initializer", tensor, axes)
        value = initializers.get(initializer)(variable.shape, dtype=tensor.dtype)
        variable.assign(value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def in_order(layers: Iterable[Layer], shape: Shape, end: str = "last") -> list[Module]:
    """The modules of built layers, with transpositions where a layer needs another data format.

    shape    of the input, channels-last
    end      "last" or "first": where the output has its channels, if it has more than two axes
    """
    steps: list[Module] = []
    first = False  # whether the channels are on axis 1 at this point

    def transpose(to_first: bool) -> None:
        nonlocal first
        if to_first != first:
            steps.append(ChannelsFirst() if to_first else ChannelsLast())
            first = to_first

    for layer in layers:
        if len(shape) > 2 and layer.order != "any":
            transpose(layer.order == "first")
        steps += layer.parts
        shape = layer.compute_output_shape(shape)
        first = first and len(shape) > 2
    if len(shape) > 2 and first != (end == "first"):
        heads = [steps.pop()] if steps and type(steps[-1]) in (nn.Softmax, nn.Sigmoid) else []
        transpose(end == "first")
        steps += [_transposed(head, first, len(shape)) for head in heads]
    return steps


def _transposed(head: Module, first: bool, ndim: int) -> Module:
    """The last activation, for transposed inputs: losses expect it to be the last module."""
    if not isinstance(head, nn.Softmax) or head.dim is None:
        return head
    axis = head.dim % ndim
    before = (0, *range(2, ndim), 1) if first else (0, ndim - 1, *range(1, ndim - 1))
    return nn.Softmax(dim=before[axis])


def layer_of(x: Any, who: str) -> Layer:
    """x, which must be a layer."""
    if isinstance(x, Layer):
        return x
    hint = f"; did you mean {x.__name__}(…)?" if isinstance(x, type) else ""
    raise DTypeError(f"{who}: needs a layer of minidl.keras.layers; got {describe(x)}{hint}")


def written(shape: Shape) -> str:
    """A shape in a message: N for the batch, … for other lengths that are not known."""
    lengths = ["N", *("…" if n is None else str(n) for n in shape[1:])]
    return f"({', '.join(lengths)}{',' * (len(lengths) == 1)})"


def length_of(shape: Shape, axis: int = -1) -> int:
    """The length of an axis that `compute_output_shape` has found to be known."""
    length = shape[axis]
    assert length is not None
    return length


def snake_case(name: str) -> str:
    """MaxPooling2D → max_pooling2d, as Keras names layers."""
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
