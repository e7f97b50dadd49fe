"""The weights of a layer under Keras's names, in its shapes and order."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minidl import ops
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, ShapeError
from minidl.keras import initializers
from minidl.keras.graph.tensor import Shape
from minidl.nn import Buffer, Module, Parameter
from minidl.nn.parts import named

KERNEL_AXES = {2: (1, 0), 4: (2, 3, 1, 0)}  # (out, in) and (out, in, h, w), as Keras has them


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
        return np.array(self.tensor.numpy().transpose(self.axes), order="C")

    def assign(self, value: Any) -> None:
        """Write values given in Keras's order of axes."""
        given = ops.asarray(value)
        if given.shape != self.shape:
            raise ShapeError(f"{self.name} needs shape {self.shape}; got {given.shape}")
        inverse = tuple(self.axes.index(axis) for axis in range(len(self.axes)))
        with no_grad():
            self.tensor[...] = ops.permute_dims(given, inverse).astype(self.tensor.dtype)


class Weighted:
    """What has weights: those of its modules, its own, and those of the layers inside it.

    Subclasses are layers, with a name and a dtype.
    """

    variable_names: ClassVar[dict[str, str]] = {}  # attributes of a module → Keras's names

    name: str
    dtype: Any
    parts: list[Module]
    built_for: Shape | None
    _trainable: bool
    _own_weights: dict[str, Tensor]

    # The layers inside.

    def named_sublayers(self) -> Iterator[tuple[str, Any]]:
        """Yield the layers among its attributes, also in lists, tuples and dicts; each once."""
        seen = {id(self)}
        for path, layer in named(vars(self), Weighted):
            if id(layer) not in seen:
                seen.add(id(layer))
                yield path, layer

    def sublayers(self) -> list[Any]:
        """The layers inside it, in the order of the attributes."""
        return [layer for _, layer in self.named_sublayers()]

    def refuse_foreign_parts(self) -> None:
        """Raise for parameters and modules of minidl.nn among the attributes: none is trained."""
        inside = {"parts", "nodes", "_module", "_pipelines", "_own_weights"}
        own = {name: value for name, value in vars(self).items() if name not in inside}
        for path, found in named(own, Parameter | Module):
            if not any(found is weight for weight in self._own_weights.values()):
                mend = "add_weight makes weights" if isinstance(found, Parameter) else ""
                raise ArgumentError(
                    f"{self.title}: its {path} is a {type(found).__name__} of minidl.nn, which "
                    f"would not be trained; {mend or 'use a layer of minidl.keras.layers'}"
                )

    # Variables.

    @property
    def variables(self) -> list[Variable]:
        """Its tensors in Keras's order: its own, those that are trained first; then its layers'."""
        found: dict[int, Variable] = {}
        for variable in self._all_variables(set()):
            found.setdefault(id(variable.tensor), variable)
        return list(found.values())

    def _all_variables(self, seen: set[int]) -> Iterator[Variable]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield from self._module_variables()
        own = sorted(self._own_weights.items(), key=lambda item: isinstance(item[1], Buffer))
        for name, tensor in own:
            yield Variable(f"{self.name}/{name}", tensor, tuple(range(tensor.ndim)))
        for layer in self.sublayers():
            yield from layer._all_variables(seen)

    def _module_variables(self) -> Iterator[Variable]:
        """Those of its modules."""
        tensors = {}
        for part in self.parts:
            own = vars(part)
            tensors.update({name: own[name] for name in self.variable_names if name in own})
        for name, keras_name in self.variable_names.items():
            tensor = tensors.get(name)
            if tensor is not None:
                axes = tuple(range(tensor.ndim))
                axes = KERNEL_AXES[tensor.ndim] if keras_name == "kernel" else axes
                yield Variable(f"{self.name}/{keras_name}", tensor, axes)

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

    trainable_variables, non_trainable_variables = trainable_weights, non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether its weights are trained."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for part in self.parts:
            part.requires_grad_(self._trainable)
        for tensor in self._own_weights.values():
            if isinstance(tensor, Parameter):
                tensor.requires_grad = self._trainable
        for layer in self.sublayers():
            layer.trainable = value

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

    # Making weights.

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        name: str | None = None,
        **others: Any,
    ) -> Any:
        """Create a weight of this layer, in `build`: a Parameter, or a Buffer if not trainable.

        initializer    a name, one of `minidl.keras.initializers`, or a function of the shape;
                       default: "glorot_uniform"
        """
        for option in others:
            if option not in ("regularizer", "constraint", "autocast", "aggregation"):
                raise ArgumentError(f"add_weight: has no argument {option!r}")
            if others[option] is not None and option in ("regularizer", "constraint"):
                raise ArgumentError(f"add_weight: {option} of Keras is not offered here")
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if None in shape:
            raise ShapeError(f"add_weight: {self.title} needs a known shape; got {shape}")
        make = initializers.get("glorot_uniform" if initializer is None else initializer)
        value = ops.asarray(make(shape, dtype=dtype or self.dtype))
        value = value.astype(dtype or self.dtype)
        if value.shape != shape:
            raise ShapeError(f"add_weight: the initializer gave {value.shape}, not {shape}")
        tensor = Parameter(value, self._trainable) if trainable else Buffer(value)
        base = name or f"variable_{len(self._own_weights)}"
        key, number = base, 0
        while key in self._own_weights:
            number += 1
            key = f"{base}_{number}"
        self._own_weights[key] = tensor
        return tensor

    def parameter(self, tensor: Tensor, initializer: Any, kernel: bool = False) -> None:
        """Initialize a parameter of a module."""
        axes = KERNEL_AXES[tensor.ndim] if kernel else tuple(range(tensor.ndim))
        variable = Variable(f"{self.title}: an initializer", tensor, axes)
        value = initializers.get(initializer)(variable.shape, dtype=tensor.dtype)
        variable.assign(value)

    # Messages.

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
