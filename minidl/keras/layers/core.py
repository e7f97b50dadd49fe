"""Core layers: Dense, Embedding, Dropout, and those that arrange: Flatten, Reshape, …."""

import math
from functools import partial
from typing import Any, ClassVar

from minidl import nn, ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_probability
from minidl.errors import ArgumentError
from minidl.keras import activations
from minidl.keras.checks import positive, shape_of
from minidl.keras.graph.tensor import KerasTensor, Node
from minidl.keras.initializers import Constant
from minidl.keras.layers.base import Layer, Shape, length_of
from minidl.nn import Module


class InputLayer(Layer):
    """The input of a model: the shape of a sample, without the batch.

    >>> from minidl.keras import layers, Sequential
    >>> Sequential([layers.InputLayer((4,)), layers.Dense(2)]).output_shape
    (None, 2)
    """

    is_input = True

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        name: str | None = None,
        batch_shape: Any = None,
    ) -> None:
        if (shape is None) == (not batch_shape) or batch_shape and batch_size is not None:
            raise ArgumentError(
                "Input: needs the shape of a sample, or batch_shape, which begins with the number "
                f"of samples; got shape={shape!r:.60} and batch_shape={batch_shape!r:.60}"
            )
        if batch_shape:
            batch_size, *shape = shape_of("Input: batch_shape", batch_shape)
        super().__init__(name=name, dtype=dtype, input_shape=shape_of("Input", shape))
        assert self.sample_shape is not None
        self.batch_size = batch_size
        self.built_for = batch_size, *self.sample_shape
        self.nodes.append(Node(self, (), {}, KerasTensor(self.built_for, self.dtype)))


def Input(  # noqa: N802 (Keras's name)
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    name: str | None = None,
    batch_shape: Any = None,
) -> KerasTensor:
    """A symbolic tensor, the input of a model: samples of a shape, `Input(shape=(28, 28, 1))`.

    Layers are called with it, and give others, for `Model(inputs, outputs)`; or it is put before
    the layers of a Sequential.

    shape         of a sample, with None for lengths that differ from batch to batch
    batch_size    the number of samples, if it is always the same
    dtype         of the data; default: "float32"
    batch_shape   instead of shape and batch_size: (batch_size, *shape)

    >>> from minidl.keras import Input, Sequential, layers
    >>> Sequential([Input(shape=(28, 28, 1)), layers.Flatten(), layers.Dense(10)]).output_shape
    (None, 10)
    >>> layers.Flatten()(Input((2, 3)))
    <KerasTensor flatten (None, 6) float32>
    """
    return InputLayer(shape, batch_size, dtype, name, batch_shape).nodes[0].outputs[0]


class Dense(Layer):
    """y = activation(x·kernel + bias), (…, in) → (…, units); kernel (in, units), bias (units,).

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((4,)), layers.Dense(10)])
    >>> net.output_shape, net.count_params()
    ((None, 10), 50)
    """

    order = "last"
    supports_masking = True
    variable_names: ClassVar = {"weight": "kernel", "bias": "bias"}

    def __init__(
        self,
        units: int,
        activation: activations.Activation = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.units, self.use_bias = positive("Dense", "units", units), bool(use_bias)
        self.activation = activations.get(activation)
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, …, in) → (N, …, units)."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise self.error("needs inputs (N, …, in) with a known last length; got", input_shape)
        return *input_shape[:-1], self.units

    def make(self, shape: Shape) -> list[Module]:
        """A Linear, and the activation."""
        linear = nn.Linear(length_of(shape), self.units, bias=self.use_bias, dtype=self.dtype)
        self.parameter(linear.weight, self.kernel_initializer, kernel=True)
        if linear.bias is not None:
            self.parameter(linear.bias, self.bias_initializer)
        return [linear, *activations.modules_of(self.activation)]


class Embedding(Layer):
    """Rows of a table (input_dim, output_dim) by id: (N, …) → (N, …, output_dim).

    input_dim       the number of ids, 0 … input_dim − 1
    mask_zero       whether 0 is padding: the output has a mask, by which layers leave it out
    weights         the table at first, (input_dim, output_dim), or a list of it alone
    input_length    the length of the sequences, if known: input_shape=(input_length,)

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((20,)), layers.Embedding(100, 8)])
    >>> net.output_shape, net.count_params()
    ((None, 20, 8), 800)
    """

    order = "last"
    variable_names: ClassVar = {"weight": "embeddings"}

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        mask_zero: bool = False,
        input_length: int | None = None,
        weights: Any = None,
        **common: Any,
    ) -> None:
        if input_length is not None:
            common["input_shape"] = shape_of("Embedding", input_length)
        super().__init__(**common)
        self.input_dim = positive("Embedding", "input_dim", input_dim)
        self.output_dim = positive("Embedding", "output_dim", output_dim)
        self.embeddings_initializer = embeddings_initializer
        if weights is not None:
            table = (
                weights[0] if isinstance(weights, list | tuple) and len(weights) == 1 else weights
            )
            self.embeddings_initializer = Constant(table)
        self.mask_zero = self.makes_masks = self.supports_masking = bool(mask_zero)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Which ids are not 0, with mask_zero; else None."""
        return inputs != 0 if self.mask_zero else None

    @property
    def input_dtype(self) -> str:
        """Ids are integers."""
        return "int64"

    def lengths(self, shape: Shape) -> Shape:
        """None: the table does not depend on the sequences."""
        return ()

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, …) → (N, …, output_dim)."""
        return *input_shape, self.output_dim

    def make(self, shape: Shape) -> list[Module]:
        """An Embedding."""
        table = nn.Embedding(self.input_dim, self.output_dim, dtype=self.dtype)
        self.parameter(table.weight, self.embeddings_initializer)
        return [table]


class Dropout(Layer):
    """In training, set each element to 0 with probability `rate`, else divide it by 1 − rate.

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((4,)), layers.Dropout(0.5)])
    >>> net.output_shape, net.count_params()
    ((None, 4), 0)
    """

    supports_masking = True

    def __init__(self, rate: float, seed: int | None = None, **common: Any) -> None:
        super().__init__(**common)
        check_probability("Dropout", p=rate)
        self.rate = rate
        self.generator = None if seed is None else ops.random.Generator(seed)

    def make(self, shape: Shape) -> list[Module]:
        """A Dropout."""
        return [nn.Dropout(self.rate, generator=self.generator)]


class Flatten(Layer):
    """(N, …) → (N, the product of the rest), with the channels of images varying fastest.

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((2, 2, 3)), layers.Flatten()])
    >>> net.output_shape, net.count_params()
    ((None, 12), 0)
    """

    order = "last"

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, …) → (N, the product of the rest)."""
        return input_shape[0], _size(input_shape[1:])

    def make(self, shape: Shape) -> list[Module]:
        """A Flatten; samples that are scalars become vectors of length 1."""
        return [nn.Flatten() if len(shape) > 1 else activations.Function(_as_vectors)]


class Reshape(Layer):
    """(N, …) → (N, *target_shape), of which one length may be −1: inferred.

    >>> from minidl.keras import layers, Sequential
    >>> net = Sequential([layers.Input((4,)), layers.Reshape((2, 2))])
    >>> net.output_shape, net.count_params()
    ((None, 2, 2), 0)
    """

    order = "last"

    def __init__(self, target_shape: Any, **common: Any) -> None:
        super().__init__(**common)
        lengths = target_shape if isinstance(target_shape, tuple | list) else (target_shape,)
        shape_of("Reshape", [1 if n == -1 else n for n in lengths])
        self.target_shape = tuple(lengths)
        if self.target_shape.count(-1) > 1 or None in self.target_shape:
            raise ArgumentError(
                f"Reshape: one length may be -1, the others are numbers; got {target_shape!r}"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, …) → (N, *target_shape)."""
        size, target = _size(input_shape[1:]), self.target_shape
        if size is None:
            return input_shape[0], *(None if n == -1 else n for n in target)
        known = math.prod(n for n in target if n != -1)
        if known != size and not (-1 in target and known and size % known == 0):
            raise self.error(f"cannot make samples of shape {target} of", input_shape)
        return input_shape[0], *(size // known if n == -1 else n for n in target)

    def make(self, shape: Shape) -> list[Module]:
        """A function that reshapes all axes but the batch."""
        return [activations.Function(partial(_reshaped, sample=self.target_shape))]


class RepeatVector(Layer):
    """n copies of a vector as the steps of a sequence: (N, C) → (N, n, C).

    >>> from minidl.keras import layers
    >>> layers.RepeatVector(2)(np.array([[1.0, 2.0]])).tolist()
    [[[1.0, 2.0], [1.0, 2.0]]]
    """

    order = "last"

    def __init__(self, n: int, **common: Any) -> None:
        super().__init__(**common)
        self.n = positive("RepeatVector", "n", n)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, C) → (N, n, C)."""
        if len(input_shape) != 2:
            raise self.error("needs vectors (N, C); got", input_shape)
        return input_shape[0], self.n, input_shape[1]

    def make(self, shape: Shape) -> list[Module]:
        """A function that repeats along a new axis."""
        return [activations.Function(partial(_repeated, n=self.n))]


class Permute(Layer):
    """The axes of a sample in another order: dims are their numbers, from 1 for the first.

    >>> from minidl.keras import Sequential, layers
    >>> Sequential([layers.Input((10, 64)), layers.Permute((2, 1))]).output_shape
    (None, 64, 10)
    """

    order = "last"

    def __init__(self, dims: Any, **common: Any) -> None:
        super().__init__(**common)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ArgumentError(
                f"Permute: dims are 1 … {len(self.dims)} in an order of your own; got {dims!r}"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(N, …) → (N, …) in the new order."""
        if len(input_shape) != len(self.dims) + 1:
            raise self.error(f"needs samples with {len(self.dims)} axes; got", input_shape)
        return input_shape[0], *(input_shape[i] for i in self.dims)

    def make(self, shape: Shape) -> list[Module]:
        """A function that permutes the axes."""
        return [activations.Function(partial(ops.permute_dims, axes=(0, *self.dims)))]


def _size(lengths: Shape) -> int | None:
    """The product of the lengths; None if one is not known."""
    known = [n for n in lengths if n is not None]
    return math.prod(known) if len(known) == len(lengths) else None


def _reshaped(x: Tensor, sample: tuple[int, ...]) -> Tensor:
    return ops.reshape(x, (x.shape[0], *sample))


def _repeated(x: Tensor, n: int) -> Tensor:
    return ops.repeat(x[:, None], n, axis=1)


def _as_vectors(x: Tensor) -> Tensor:
    return ops.expand_dims(x, axis=-1)
