"""What a layer of Keras is here: settings that become modules once the input's shape is known."""

import re
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minidl import nn, ops
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.keras import initializers
from minidl.keras.names import positive, refuse, shape_of
from minidl.keras.order import Cast, ChannelsFirst, ChannelsLast
from minidl.nn import Module, Parameter

Shape = tuple[int | None, ...]  # with the batch first, which is None

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

    axes    Keras's axis i is axis axes[i] of the tensor: a kernel (out, in) is (in, out) there
    """

    name: str
    tensor: Tensor
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in Keras."""
        return tuple(self.tensor.shape[axis] for axis in self.axes)

    def value(self) -> np.ndarray:
        """A copy of the numbers, in Keras's order."""
        return np.ascontiguousarray(self.tensor.numpy().transpose(self.axes)).copy()

    def assign(self, value: Any) -> None:
        """Write numbers that are in Keras's order."""
        given = ops.asarray(value)
        if given.shape != self.shape:
            raise ShapeError(f"{self.name} needs shape {self.shape}; got {given.shape}")
        backwards = tuple(np.argsort(self.axes).tolist())
        with no_grad():
            self.tensor[...] = ops.permute_dims(given, backwards).astype(self.tensor.dtype)


_KERNEL_AXES = {2: (1, 0), 4: (2, 3, 1, 0)}  # (out, in) and (out, in, h, w), as Keras has them


class Layer:
    """The base of layers: settings, of which `build` makes modules of `minidl.nn`.

    name           in messages and summaries; made of the class's name if left out
    trainable      whether it learns; may be changed later, before `compile`
    dtype          of its weights, "float32" unless said otherwise
    input_shape    of one sample; makes a model's first layer known before the data is
    input_dim      the same for samples that are vectors: input_shape=(input_dim,)

    A subclass states `make` and `compute_output_shape`.  Shapes have None in place of the batch.

    >>> from minidl.keras import layers, Sequential
    >>> layer = layers.Dense(2)
    >>> layer.compute_output_shape((None, 4))
    (None, 2)
    """

    order: ClassVar[str] = "any"  # of pictures in its modules: channels "first", "last" or "any"
    variable_names: ClassVar[dict[str, str]] = {}  # attributes of a module, under Keras's names

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

    # What a subclass states.

    def make(self, shape: Shape) -> list[Module]:
        """The modules that do the work, for inputs of this shape, in the order of `order`."""
        return []

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape that it gives for an input of this one; a ShapeError if it takes none such."""
        return tuple(input_shape)

    def lengths(self, shape: Shape) -> Shape:
        """What the shapes of its weights depend on."""
        return shape[-1:]

    # What all share.

    @property
    def built(self) -> bool:
        """Whether it has its weights."""
        return self.built_for is not None

    def build(self, input_shape: Shape) -> None:
        """Make the weights for inputs of this shape, (None, …); once is enough."""
        shape = tuple(input_shape)
        self.compute_output_shape(shape)  # raises if the shape does not fit
        if not self.built:
            self.parts = [part.eval() for part in self.make(shape)]
            self.built_for = shape
            self.trainable = self._trainable
        elif self.variables and self.lengths(shape) != self.lengths(self.built_for):
            raise self.error(f"was built for inputs {written(self.built_for)}; got", shape)

    def __call__(self, x: Any, training: bool = False) -> Tensor:
        """The layer alone, of a tensor or array in Keras's order; `training` as in `fit`."""
        x = ops.asarray(x)
        self.build((None, *x.shape[1:]))
        network = nn.Sequential(Cast(self.input_dtype), *in_order([self], (None, *x.shape[1:])))
        try:
            return network.train(training)(x)
        finally:
            network.eval()

    @property
    def input_dtype(self) -> str:
        """What inputs are converted to."""
        return self.dtype

    @property
    def trainable(self) -> bool:
        """Whether it learns."""
        return self._trainable

    @trainable.setter
    def trainable(self, wanted: bool) -> None:
        self._trainable = bool(wanted)
        for part in self.parts:
            part.requires_grad_(self._trainable)

    @property
    def variables(self) -> list[Variable]:
        """Its tensors in Keras's order: what is learned, and then what is not."""
        found = {}
        for part in self.parts:
            own = vars(part)
            found.update({name: own[name] for name in self.variable_names if name in own})
        variables = []
        for name, keras_name in self.variable_names.items():
            tensor = found.get(name)
            if tensor is not None:
                axes = tuple(range(tensor.ndim))
                axes = _KERNEL_AXES[tensor.ndim] if keras_name == "kernel" else axes
                variables.append(Variable(f"{self.name}/{keras_name}", tensor, axes))
        return variables

    @property
    def weights(self) -> list[Tensor]:
        """Its tensors, as the modules have them: a Dense's kernel is (out, in)."""
        return [variable.tensor for variable in self.variables]

    @property
    def trainable_weights(self) -> list[Tensor]:
        """Those that are learned."""
        return [x for x in self.weights if isinstance(x, Parameter) and x.requires_grad]

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """Those that are not."""
        return [x for x in self.weights if not (isinstance(x, Parameter) and x.requires_grad)]

    def count_params(self) -> int:
        """How many numbers its weights are."""
        self.must_be_built("count_params")
        return sum(x.size for x in self.weights)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of its weights, in Keras's shapes and order: (in, out), (h, w, in, out)."""
        return [variable.value() for variable in self.variables]

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Write weights in the form that `get_weights` gives; on an error nothing has changed."""
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

    def must_be_built(self, who: str) -> None:
        """Raise if the weights are not there yet."""
        if not self.built:
            raise ArgumentError(
                f"{who}: {self.title} has no weights yet; give the first layer an input_shape, "
                "call build(input_shape), or use it on data"
            )

    @property
    def title(self) -> str:
        """How messages call it: `dense_1 (Dense)`."""
        return f"{self.name} ({type(self).__name__})"

    def error(self, needs: str, shape: Shape) -> ShapeError:
        """The error for an input of a shape that does not fit."""
        return ShapeError(f"{self.title} {needs} {written(shape)}")

    def parameter(self, tensor: Tensor, initializer: Any, kernel: bool = False) -> None:
        """Let a parameter of a module begin as an initializer says."""
        axes = _KERNEL_AXES[tensor.ndim] if kernel else tuple(range(tensor.ndim))
        variable = Variable(f"{self.title}: an initializer", tensor, axes)
        value = initializers.get(initializer)(variable.shape, dtype=tensor.dtype)
        variable.assign(value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def in_order(layers: Iterable[Layer], shape: Shape, end: str = "last") -> list[Module]:
    """The modules of built layers, and what brings the axes into the order that each needs.

    shape    of the input, channels-last
    end      "last" or "first": where the channels of the result are, if it has more than two axes
    """
    steps: list[Module] = []
    first = False

    def turn(wanted: bool) -> None:
        nonlocal first
        if wanted != first:
            steps.append(ChannelsFirst() if wanted else ChannelsLast())
            first = wanted

    for layer in layers:
        if len(shape) > 2 and layer.order != "any":
            turn(layer.order == "first")
        steps += layer.parts
        shape = layer.compute_output_shape(shape)
        first = first and len(shape) > 2
    if len(shape) > 2 and first != (end == "first"):
        heads = [steps.pop()] if steps and type(steps[-1]) in (nn.Softmax, nn.Sigmoid) else []
        turn(end == "first")
        steps += [_turned(head, first, len(shape)) for head in heads]
    return steps


def _turned(head: Module, first: bool, ndim: int) -> Module:
    """A last activation as it is after its input was turned round, as losses look for it there."""
    if type(head) is nn.Sigmoid:
        return head
    axis = head.dim % ndim
    before = (0, *range(2, ndim), 1) if first else (0, ndim - 1, *range(1, ndim - 1))
    return nn.Softmax(dim=before[axis])


def layer_of(x: Any, who: str) -> Layer:
    """x, if it is a layer."""
    if isinstance(x, Layer):
        return x
    hint = f"; did you mean {x.__name__}(…)?" if isinstance(x, type) else ""
    raise DTypeError(f"{who}: needs a layer of minidl.keras.layers; got {describe(x)}{hint}")


def written(shape: Shape) -> str:
    """A shape in a message, where the batch is N and what is not known a letter."""
    lengths = ["N", *("…" if n is None else str(n) for n in shape[1:])]
    return f"({', '.join(lengths)}{',' * (len(lengths) == 1)})"


def snake_case(name: str) -> str:
    """MaxPooling2D → max_pooling2d, as Keras names layers."""
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
