"""KerasTensor, a value that a model will have; and Node, the call of a layer that computes it."""

import operator
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NoReturn

from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.keras.structure import flatten, leaves, map_leaves

Shape = tuple[int | None, ...]  # with the batch first; None for lengths that are not known


class KerasTensor:
    """A symbolic tensor: the shape and dtype of a value that exists once a model gets data.

    `Input` makes one; a layer called with some gives others.  Arithmetic, comparisons and indexing
    do as well.  There are no numbers in it.

    shape    with None for the batch, and for lengths that are not known
    node     the call that computes it; None before it is known

    >>> from minidl import keras
    >>> x = keras.Input(shape=(4,), name="x")
    >>> x, keras.layers.Dense(2)(x) * 2 + 1
    (<KerasTensor x (None, 4) float32>, <KerasTensor add (None, 2) float32>)
    """

    # How an operator or an index is recorded; `layers.operation` sets it.
    operate: ClassVar[Callable[..., Any]]

    __array_ufunc__ = None  # ndarray + tensor calls __radd__ here

    def __init__(self, shape: Shape, dtype: Any = "float32") -> None:
        self.shape, self.dtype = tuple(shape), str(dtype)
        self.node: Node | None = None

    @property
    def ndim(self) -> int:
        """The number of axes, with that of the batch."""
        return len(self.shape)

    @property
    def name(self) -> str:
        """The name of the layer that computes it."""
        if self.node is None:
            return "tensor"
        name, outputs = self.node.layer.name, self.node.outputs
        return name if len(outputs) == 1 else f"{name}[{self.position}]"

    @property
    def position(self) -> int:
        """Which of the outputs of its node it is."""
        outputs = () if self.node is None else self.node.outputs
        return next((i for i, x in enumerate(outputs) if x is self), 0)

    def __repr__(self) -> str:
        return f"<KerasTensor {self.name} {self.shape} {self.dtype}>"

    # Operators.

    def __add__(self, other: Any) -> Any:
        return self.operate(operator.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return self.operate(operator.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return self.operate(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.operate(operator.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return self.operate(operator.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.operate(operator.mul, other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.operate(operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.operate(operator.truediv, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self.operate(operator.floordiv, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self.operate(operator.floordiv, other, self)

    def __mod__(self, other: Any) -> Any:
        return self.operate(operator.mod, self, other)

    def __rmod__(self, other: Any) -> Any:
        return self.operate(operator.mod, other, self)

    def __pow__(self, other: Any) -> Any:
        return self.operate(operator.pow, self, other)

    def __rpow__(self, other: Any) -> Any:
        return self.operate(operator.pow, other, self)

    def __matmul__(self, other: Any) -> Any:
        return self.operate(operator.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self.operate(operator.matmul, other, self)

    def __neg__(self) -> Any:
        return self.operate(operator.neg, self)

    def __abs__(self) -> Any:
        return self.operate(operator.abs, self)

    def __invert__(self) -> Any:
        return self.operate(operator.invert, self)

    def __and__(self, other: Any) -> Any:
        return self.operate(operator.and_, self, other)

    def __or__(self, other: Any) -> Any:
        return self.operate(operator.or_, self, other)

    def __lt__(self, other: Any) -> Any:
        return self.operate(operator.lt, self, other)

    def __le__(self, other: Any) -> Any:
        return self.operate(operator.le, self, other)

    def __gt__(self, other: Any) -> Any:
        return self.operate(operator.gt, self, other)

    def __ge__(self, other: Any) -> Any:
        return self.operate(operator.ge, self, other)

    def __ne__(self, other: Any) -> Any:
        return self.operate(operator.ne, self, other)

    def __getitem__(self, index: Any) -> Any:
        return self.operate(operator.getitem, self, index)

    # As in Keras, == is that of objects: symbolic tensors are keys and members of collections.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    # What needs numbers.

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise DTypeError(
            f"{self!r} is symbolic and has no numbers yet. Compute with layers, operators, or a "
            "layers.Lambda(function), then Model(inputs, outputs) on data"
        )

    __array__ = __bool__ = __float__ = __int__ = __index__ = __len__ = numpy = item = _refuse

    def __iter__(self) -> NoReturn:
        self._refuse()


class Node:
    """One call of a layer with symbolic tensors.

    layer            what is called
    args, kwargs     the arguments, structures of tensors and of other values
    inputs           the symbolic tensors among them
    structure        what the call gives; `outputs` are the symbolic tensors in it
    """

    def __init__(
        self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], structure: Any
    ) -> None:
        self.layer, self.args, self.kwargs = layer, args, kwargs
        self.inputs = [x for x in leaves([args, kwargs]) if isinstance(x, KerasTensor)]
        self.structure = structure
        self.outputs = [x for x in leaves(structure) if isinstance(x, KerasTensor)]
        for x in self.outputs:
            x.node = self

    def filled(self, values: dict[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with values, by the id of the symbolic tensor, in place of the tensors."""

        def value(x: Any) -> Any:
            return values[id(x)] if isinstance(x, KerasTensor) else x

        return map_leaves(value, self.args), map_leaves(value, self.kwargs)


def is_symbolic(x: Any) -> bool:
    """Whether x is a symbolic tensor, or a structure with one in it."""
    if isinstance(x, KerasTensor):
        return True
    if isinstance(x, dict):
        return any(map(is_symbolic, x.values()))
    return isinstance(x, list | tuple) and any(map(is_symbolic, x))


def symbolic(who: str, what: str, structure: Any) -> list[KerasTensor]:
    """The leaves of a structure, which must be symbolic tensors."""
    found = flatten(structure)
    for x in found:
        if not isinstance(x, KerasTensor):
            hint = "; call it: layer(x)" if callable(x) else "; Input(shape) makes one"
            raise DTypeError(
                f"{who}: {what} are symbolic tensors; got {type(x).__name__} {x!r:.60}{hint}"
            )
    if not found:
        raise ArgumentError(f"{who}: needs {what}; got {structure!r}")
    return found


def joined_shapes(who: str, shapes: Iterator[Shape] | list[Shape]) -> Shape:
    """The shape that shapes broadcast to, with None for lengths that are not known."""
    shapes = list(shapes)
    ndim = max(map(len, shapes))
    aligned = [(1,) * (ndim - len(shape)) + tuple(shape) for shape in shapes]
    joined: list[int | None] = []
    for lengths in zip(*aligned, strict=True):
        known = {n for n in lengths if n not in (None, 1)}
        if len(known) > 1:
            raise ShapeError(f"{who}: shapes {', '.join(map(str, shapes))} do not broadcast")
        joined.append(known.pop() if known else None if None in lengths else 1)
    return tuple(joined)
