"""Layer, the base of all layers.

There are two kinds.  Most layers of this package define `make`: modules of `minidl.nn`, built once
the shape of the input is known, that map one tensor to one.  All others define `call`, and create
their weights in `build` with `add_weight`, or have other layers as attributes; this is how programs
write layers of their own.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, ClassVar

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe, warn_once
from minidl.keras.checks import positive, refuse, shape_of
from minidl.keras.graph.tensor import KerasTensor, Node, Shape, is_symbolic
from minidl.keras.layers import calling
from minidl.keras.layers.composition import Called, chain, run_in_mode
from minidl.keras.layers.precise import Precise
from minidl.keras.layers.variables import Weighted
from minidl.keras.masking import has_mask, mask_of, masks_of, passing, with_masks
from minidl.keras.structure import flatten, map_leaves
from minidl.nn import Module

_NOT_OFFERED = {
    "kernel_regularizer",
    "recurrent_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "embeddings_regularizer",
    "beta_regularizer",
    "gamma_regularizer",
    "kernel_constraint",
    "recurrent_constraint",
    "bias_constraint",
    "embeddings_constraint",
    "beta_constraint",
    "gamma_constraint",
    "lora_rank",
    "batch_input_shape",
}


class Layer(Precise, Weighted):
    """The base of layers; a subclass with `build` and `call` is a layer of your own.

    name           for messages and summaries; default: derived from the class's name
    trainable      whether its weights are trained; may be changed later, before `compile`
    dtype          a dtype, in which its weights are and it computes, or a policy, such as
                   "mixed_float16": weights in float32, computations in float16; by default the
                   global policy of `minidl.keras.mixed_precision`, "float32" at first.  Floats
                   that it is given are cast to the dtype in which it computes
    input_shape    the shape of a sample; lets a model be built before it sees data
    input_dim      the same for samples that are vectors: input_shape=(input_dim,)

    `build(input_shape)` creates weights with `add_weight`; `call(inputs)` computes the output, of
    channels-last tensors, with the functions of `minidl`.  If `call` has arguments `training` and
    `mask`, it gets them.  The batch is None in shapes.

    supports_masking    whether a mask of the input passes to the output, by `compute_mask`

    >>> from minidl.keras import layers, Sequential
    >>> class Scale(layers.Layer):
    ...     def build(self, input_shape):
    ...         self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")
    ...     def call(self, inputs):
    ...         return self.scale * inputs
    >>> model = Sequential([layers.Input((3,)), Scale(), layers.Dense(2)])
    >>> model.output_shape, model.count_params()
    ((None, 2), 11)
    """

    order: str = "any"  # where its modules need the channels: "first", "last" or "any"
    supports_masking = False
    makes_masks: bool = False  # whether its output may have a mask that its input has not
    is_input: ClassVar[bool] = False  # whether it is the origin of an `Input`
    is_operation: ClassVar[bool] = False  # whether it is an operator, which is no layer of a model

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
        self.sample_shape = None if input_shape is None else shape_of(kind, input_shape)
        self.name, self.has_own_name = name or snake_case(kind), name is not None
        self.base_name = self.name
        self.set_precision(dtype)
        self.parts: list[Module] = []
        self.built_for: Shape | None = None
        self.nodes: list[Node] = []
        self._trainable = bool(trainable)
        self._own_weights: dict[str, Tensor] = {}
        self._module: Module | None = None
        self._pipelines: dict[int, Any] = {}
        if type(self).compute_mask is not Layer.compute_mask:
            self.supports_masking = True

    # What a subclass defines.

    def make(self, shape: Shape) -> list[Module]:
        """The modules that compute the layer for inputs of this shape, channels as in `order`."""
        return []

    def _call_modules(self, inputs: Any) -> Any:
        """The output of the modules."""
        pipeline = self._pipelines.get(inputs.ndim)
        if pipeline is None:
            network = chain([self], (None, *inputs.shape[1:]))
            pipeline = self._pipelines[inputs.ndim] = network, tuple(network.modules())
        network, modules = pipeline
        mask = mask_of(inputs) if self.supports_masking else None
        with passing(mask, modules):
            return run_in_mode(network, modules, bool(calling.is_training()), inputs)

    call: Callable[..., Any] = _call_modules  # a subclass's `call` may have any arguments

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output for inputs of this shape; ShapeError if they do not fit."""
        if self.is_modular:
            return tuple(input_shape)
        inputs = shapes_to_tensors(input_shape, self.dtype)
        return map_leaves(lambda x: x.shape, self._tried((inputs,), {}))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the output, given the input and its mask: the same."""
        return mask

    def lengths(self, shape: Shape) -> Shape:
        """The lengths that the shapes of its weights depend on."""
        return shape[-1:]

    # Common to all layers.

    @property
    def is_modular(self) -> bool:
        """Whether it is made of modules, which map one tensor to one."""
        return type(self).call is Layer.call

    @property
    def module(self) -> Module | None:
        """The layer as a module; None if it has no weights yet."""
        if not self.built:
            return None
        if self._module is None:
            one = self.is_modular and len(self.parts) == 1
            self._module = self.parts[0] if one else nn.Sequential(*self.parts)
            if not self.is_modular:
                self._module = Called(self)
        if isinstance(self._module, Called):
            self._module.refresh()
        return self._module

    @property
    def built(self) -> bool:
        """Whether the layer has its weights."""
        return self.built_for is not None

    @built.setter
    def built(self, value: bool) -> None:
        self.built_for = (self.built_for or ()) if value else None

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of this shape, (None, …), unless they exist."""
        if not self.is_modular:
            self.built = True
            return
        shape = tuple(input_shape)
        if shape == self.built_for:
            return
        self.compute_output_shape(shape)  # raises if the shape does not fit
        if self.built_for is None:
            self.parts = [part.eval() for part in self.make(shape)]
            self.built_for = shape
            self.trainable = self._trainable
        elif self.variables and self.lengths(shape) != self.lengths(self.built_for):
            raise self.error(f"was built for inputs {written(self.built_for)}; got", shape)

    def ensure_built(self, shape: Shape) -> None:
        """Create the weights for an input of this shape, whichever way `build` wants it."""
        x = KerasTensor(shape, self.dtype)
        self._build({calling.signature(self.call).names[0]: x}, x)

    # Calls.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer to arrays or tensors, or record the call for symbolic ones.

        training    whether as in `fit`; by default as the layer or model that calls this one
        """
        if "_own_weights" not in vars(self):
            raise ArgumentError(f"{type(self).__name__}: __init__ must call super().__init__()")
        if is_symbolic(args) or kwargs and is_symbolic(kwargs):
            return self._record(args, kwargs)
        return self._run(args, kwargs)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The outputs for arrays or tensors."""
        signature = calling.signature(self.call)
        args, kwargs, arguments = self._given(signature, args, kwargs)
        first = next(iter(arguments.values()))
        self._build(arguments, first)
        by_position = "training" in arguments and "training" not in kwargs
        training = arguments.get("training", kwargs.pop("training", None))
        if training is None:
            training = calling.is_training()
        if training is None and "training" in signature:
            training = signature.defaults["training"]
        training = training is True or training is not inspect.Parameter.empty and bool(training)
        if "training" in signature and not by_position:
            kwargs["training"] = training
        mask = arguments.get("mask")
        if "mask" in kwargs and "mask" not in signature and not signature.takes_any:
            if mask is not None:
                raise ArgumentError(f"{self.title}: its call takes no mask")
            del kwargs["mask"]
        if mask is None and any(has_mask(x) for x in arguments.values()):
            mask = self._pass_masks(signature, arguments, kwargs, first)
        with calling.calling(training):
            outputs = self.called(args, kwargs)
        return self._masked(first, mask, outputs)

    def _given(
        self, signature: calling.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """The arguments with arrays made tensors: positional, by name, and all by name."""
        dtype = self.compute_dtype
        args = tuple([calling.to_tensors(x, dtype, not i) for i, x in enumerate(args)])
        kwargs = {name: calling.to_tensors(x, dtype) for name, x in kwargs.items()}
        if signature.variable:
            return args, kwargs, {str(i): x for i, x in enumerate(args)}
        if len(args) > len(signature.names):
            raise ArgumentError(
                f"{self.title}: takes {', '.join(signature.names)}; got {len(args)} arguments"
            )
        arguments = signature.arguments(args, kwargs)
        if signature.names and signature.names[0] not in arguments:
            raise ArgumentError(f"{self.title}: needs an input; call layer(x)")
        if missing := signature.missing(arguments):
            raise ArgumentError(f"{self.title}: its call needs {' and '.join(missing)}, too")
        return args, kwargs, arguments

    def _build(self, arguments: dict[str, Any], first: Any) -> None:
        """Create the weights for these arguments, if there are none; or check the shapes."""
        if self.is_modular:
            if not isinstance(first, Tensor | KerasTensor):
                raise DTypeError(f"{self.title}: takes one tensor; got {describe(first)}")
            self.build(calling.shapes_in(first))
        elif not self.built:
            self.refuse_foreign_parts()
            shapes = calling.shapes_in(arguments)
            own = next(iter(shapes.values()))
            calling.call_by_shapes(self.build, shapes, own)
            # What a subclass's `build` may not say itself.
            self.built_for = own if isinstance(own, tuple) else (self.built_for or ())
            if not self._trainable:
                self.trainable = False

    def _pass_masks(
        self,
        signature: calling.Signature,
        arguments: dict[str, Any],
        kwargs: dict[str, Any],
        first: Any,
    ) -> Any:
        """Give `call` the masks of its inputs, in arguments as `mask` or `value_mask`."""
        own = masks_of(first)
        if "mask" in signature and arguments.get("mask") is None:
            kwargs["mask"] = own
        for name, value in arguments.items():
            if f"{name}_mask" in signature and arguments.get(f"{name}_mask") is None:
                kwargs[f"{name}_mask"] = masks_of(value)
        return own

    def _masked(self, first: Any, mask: Any, outputs: Any) -> Any:
        """The outputs with the masks that `compute_mask` gives them."""
        if not self.supports_masking:
            if any(m is not None for m in flatten(mask)):
                self.tell_of_lost_mask()
            return outputs
        if mask is None and type(self).compute_mask is Layer.compute_mask:
            return outputs
        return with_masks(outputs, self.compute_mask(first, mask))

    def tell_of_lost_mask(self) -> None:
        """Warn that padding will count from here on."""
        warn_once(
            (type(self), "mask"),
            f"{self.title} does not support masking: the mask of its input, which says what is "
            "padding, ends here; layers after it, and the loss, count the padding",
        )

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record a call with symbolic tensors; returns symbolic tensors."""
        signature = calling.signature(self.call)
        args, kwargs, arguments = self._given(signature, args, kwargs)
        self._build(arguments, next(iter(arguments.values())))
        node = Node(self, args, kwargs, self.output_spec(args, kwargs, arguments))
        self.nodes.append(node)
        return node.structure

    def output_spec(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], arguments: dict[str, Any]
    ) -> Any:
        """The symbolic outputs of a call, from `compute_output_shape` or from trying the call."""
        if not self.is_modular and type(self).compute_output_shape is Layer.compute_output_shape:
            return self._tried(args, kwargs)
        shapes = calling.shapes_in(arguments)
        own = next(iter(shapes.values()))
        found = calling.call_by_shapes(self.compute_output_shape, shapes, own)
        return shapes_to_tensors(found, self.compute_dtype)

    def _tried(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The symbolic outputs for symbolic inputs, found by calls with zeros."""
        return calling.traced(lambda *a, **k: self._run(a, k), args, kwargs)

    # What a call was recorded with.

    @property
    def input(self) -> Any:
        """The symbolic input of its first call."""
        node = self._first_node("input")
        return node.args[0] if node.args else next(iter(node.kwargs.values()))

    @property
    def output(self) -> Any:
        """The symbolic output of its first call."""
        return self._first_node("output").structure

    def _first_node(self, what: str) -> Node:
        if not self.nodes:
            raise ArgumentError(
                f"{self.title} has no {what}: it was not called with a symbolic tensor of Input, "
                "nor is it in a model whose input shape is known"
            )
        return self.nodes[0]

    def error(self, needs: str, shape: Shape) -> ShapeError:
        """The error for an input of a shape that does not fit."""
        return ShapeError(f"{self.title} {needs} {written(shape)}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def is_shape(x: Any) -> bool:
    """Whether x is a shape, rather than a structure of shapes."""
    return isinstance(x, list | tuple) and all(n is None or isinstance(n, int) for n in x)


def shapes_to_tensors(shapes: Any, dtype: Any) -> Any:
    """Symbolic tensors of these shapes: of one, or of the shapes in a list, a tuple or a dict."""
    if is_shape(shapes):
        return KerasTensor(tuple(shapes), dtype)
    if isinstance(shapes, dict):
        return {key: shapes_to_tensors(shape, dtype) for key, shape in shapes.items()}
    return type(shapes)(shapes_to_tensors(shape, dtype) for shape in shapes)


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
