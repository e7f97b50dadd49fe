"""Layers that join several tensors to one: sums, products, concatenations, and their functions."""

import functools
import math
from collections.abc import Callable
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import is_integer
from minidl.errors import ArgumentError, ShapeError, describe
from minidl.keras.graph.tensor import Shape, joined_shapes
from minidl.keras.layers.base import Layer, is_shape
from minidl.keras.masking import mask_of, masked


class Merge(Layer):
    """The base of layers of a list of tensors, of shapes that broadcast.

    A tensor with fewer axes gets axes of one after its batch.  The mask of the output is True where
    any of the inputs' is, or None if one has none.
    """

    supports_masking = True
    fewest, most = 2, math.inf

    def call(self, inputs: Any) -> Any:
        """The tensors joined."""
        tensors = self.checked(inputs)
        ndim = max(x.ndim for x in tensors)
        return self.merge([_with_axes(x, ndim) for x in tensors])

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """The tensors, of one number of axes, joined."""
        raise NotImplementedError

    def checked(self, inputs: Any) -> list[Any]:
        """The inputs, which must be a list."""
        listed = isinstance(inputs, list | tuple)
        if not listed or not self.fewest <= len(inputs) <= self.most:
            count = f"{self.most}" if self.most == 2 else f"at least {self.fewest}"
            raise ArgumentError(
                f"{self.title}: {type(self).__name__}()([x, y]) takes a list of {count} tensors; "
                f"got {len(inputs) if listed else describe(inputs)}"
            )
        return list(inputs)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The shape to which those of the inputs broadcast."""
        shapes = _list_of_shapes(self, input_shape)
        ndim = max(map(len, shapes))
        aligned = [(s[0], *(1,) * (ndim - len(s)), *s[1:]) for s in shapes]
        batches = {s[0] for s in shapes}
        batch = None if None in batches else batches.pop()
        return batch, *joined_shapes(self.title, [s[1:] for s in aligned])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The union of the masks; None if an input has none."""
        if not isinstance(mask, list | tuple) or any(m is None for m in mask):
            return None
        return functools.reduce(ops.logical_or, mask)

    def build(self, input_shape: Any) -> None:
        """Check the shapes."""
        self.compute_output_shape(input_shape)
        self.built = True


class Add(Merge):
    """The sum of the inputs.

    >>> from minidl.keras import layers
    >>> layers.Add()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])]).tolist()
    [[11.0, 22.0]]
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """x + y + …."""
        return functools.reduce(ops.add, inputs)


class Subtract(Merge):
    """The first input minus the second.

    >>> from minidl.keras import layers
    >>> layers.Subtract()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])]).tolist()
    [[-9.0, -18.0]]
    """

    most = 2

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """x − y."""
        return inputs[0] - inputs[1]


class Multiply(Merge):
    """The product of the inputs, element by element; a step that a mask leaves out counts as 1.

    >>> from minidl.keras import layers
    >>> layers.Multiply()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])]).tolist()
    [[10.0, 40.0]]
    """

    def call(self, inputs: Any) -> Any:
        """The product; 0 where all masks leave a step out."""
        tensors = self.checked(inputs)
        y = super().call([_one_where_masked(x) for x in tensors])
        masks = [_over_features(x) for x in tensors]
        if any(mask is None for mask in masks):
            return y
        return ops.where(functools.reduce(ops.logical_or, masks), y, 0)

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """x · y · …."""
        return functools.reduce(ops.multiply, inputs)


class Average(Merge):
    """The mean of the inputs, element by element.

    >>> from minidl.keras import layers
    >>> layers.Average()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])]).tolist()
    [[5.5, 11.0]]
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """(x + y + …) / n."""
        return functools.reduce(ops.add, inputs) / len(inputs)


class _Extremum(Merge):
    """The base of Maximum and Minimum, which leave out the steps that a mask leaves out."""

    def call(self, inputs: Any) -> Any:
        """The extremum of those inputs that are there."""
        tensors = self.checked(inputs)
        if all(mask_of(x) is None for x in tensors):
            return super().call(tensors)
        result, there = tensors[0], _over_features(tensors[0])
        for x in tensors[1:]:
            own = _over_features(x)
            y = x if own is None else ops.where(own, x, result)
            result = result if there is None else ops.where(there, result, y)
            there = None if own is None or there is None else ops.logical_or(there, own)
            result = self.merge([result, y])
        return result


class Maximum(_Extremum):
    """The largest of the inputs, element by element.

    >>> from minidl.keras import layers
    >>> layers.Maximum()([np.array([[1.0, 20.0]]), np.array([[10.0, 2.0]])]).tolist()
    [[10.0, 20.0]]
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """max(x, y, …)."""
        return functools.reduce(ops.maximum, inputs)


class Minimum(_Extremum):
    """The smallest of the inputs, element by element.

    >>> from minidl.keras import layers
    >>> layers.Minimum()([np.array([[1.0, 20.0]]), np.array([[10.0, 2.0]])]).tolist()
    [[1.0, 2.0]]
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """min(x, y, …)."""
        return functools.reduce(ops.minimum, inputs)


class Concatenate(Merge):
    """The inputs one after the other along an axis, by default the last.

    >>> from minidl.keras import layers
    >>> layers.Concatenate()([np.ones((1, 2)), np.zeros((1, 1))]).tolist()
    [[1.0, 1.0, 0.0]]
    """

    fewest = 1

    def __init__(self, axis: int = -1, **common: Any) -> None:
        super().__init__(**common)
        if not is_integer(axis):
            raise ArgumentError(f"Concatenate: axis is an integer; got {axis!r}")
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        """The inputs joined along the axis."""
        return ops.concat(self.checked(inputs), axis=self.axis)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The shape of the inputs, with the sum of their lengths along the axis."""
        shapes = _list_of_shapes(self, input_shape)
        ndim = len(shapes[0])
        if any(len(s) != ndim for s in shapes) or not -ndim <= self.axis < ndim:
            raise ShapeError(f"{self.title}: cannot join {shapes} along axis {self.axis}")
        axis = self.axis % ndim
        joined = list(shapes[0])
        for shape in shapes[1:]:
            for i, (n, m) in enumerate(zip(joined, shape, strict=True)):
                if i == axis:
                    joined[i] = None if n is None or m is None else n + m
                elif None not in (n, m) and n != m:
                    raise ShapeError(
                        f"{self.title}: needs inputs that differ along axis {self.axis} alone; "
                        f"got {', '.join(map(str, shapes))}"
                    )
                else:
                    joined[i] = m if n is None else n
        return tuple(joined)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Along the features: True where all masks … are joined so; None if no input has one."""
        if not isinstance(mask, list | tuple) or all(m is None for m in mask):
            return None
        whole = [_whole_mask(x, m) for x, m in zip(inputs, mask, strict=True)]
        return ops.any(ops.concat(whole, axis=self.axis), axis=-1)


class Dot(Merge):
    """Σ of products of two tensors along an axis of each, for each sample.

    axes         the axis, or two of them: of the first and of the second tensor; not the batch's
    normalize    whether to divide by the norms along these axes first: cosine similarity

    The output has the other axes of the first, then those of the second; (N, 1) if there are none.

    >>> from minidl.keras import layers
    >>> layers.Dot(axes=1)([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])]).tolist()
    [[50.0]]
    >>> layers.Dot(axes=(2, 2))([np.ones((5, 3, 4)), np.ones((5, 2, 4))]).shape
    (5, 3, 2)
    """

    most = 2

    def __init__(self, axes: Any, normalize: bool = False, **common: Any) -> None:
        super().__init__(**common)
        pair = (axes, axes) if is_integer(axes) else tuple(axes) if isinstance(axes, list) else axes
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(map(is_integer, pair)):
            raise ArgumentError(f"Dot: axes are an integer, or two; got {axes!r:.60}")
        self.axes, self.normalize = pair, bool(normalize)

    def call(self, inputs: Any) -> Any:
        """The products."""
        x, y = self.checked(inputs)
        first, second = self._positions(x.ndim, y.ndim)
        if self.normalize:
            x, y = _unit(x, first), _unit(y, second)
        if x.ndim == y.ndim == 2:
            return ops.sum(x * y, axis=1, keepdims=True)
        x, y = ops.moveaxis(x, first, -1), ops.moveaxis(y, second, 1)
        rows = x.reshape((x.shape[0], -1, x.shape[-1])) if x.size else x
        columns = y.reshape((y.shape[0], y.shape[1], -1)) if y.size else y
        return ops.matmul(rows, columns).reshape((*x.shape[:-1], *y.shape[2:]))

    def _positions(self, *ndims: int) -> tuple[int, int]:
        found = [
            axis % n if -n <= axis < n else 0 for axis, n in zip(self.axes, ndims, strict=True)
        ]
        if 0 in found:
            raise ShapeError(
                f"{self.title}: axes {self.axes} are no axes, except the batch's, of tensors with "
                f"{ndims[0]} and {ndims[1]} axes"
            )
        return found[0], found[1]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """(N, the rest of the first, the rest of the second)."""
        shapes = _list_of_shapes(self, input_shape)
        first, second = self._positions(*map(len, shapes))
        n, m = shapes[0][first], shapes[1][second]
        if None not in (n, m) and n != m:
            raise ShapeError(
                f"{self.title}: axes {self.axes} of {shapes[0]} and {shapes[1]} have lengths {n} "
                f"and {m}, which must be equal"
            )
        rest = [n for i, n in enumerate(shapes[0]) if i not in (0, first)]
        rest += [n for i, n in enumerate(shapes[1]) if i not in (0, second)]
        return shapes[0][0], *(rest or [1])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """None."""
        return None


def _list_of_shapes(layer: Merge, shapes: Any) -> list[Shape]:
    if is_shape(shapes) and len(shapes) > 0:
        layer.checked(None)
    return [tuple(shape) for shape in layer.checked(shapes)]


def _with_axes(x: Tensor, ndim: int) -> Tensor:
    """x with axes of one after its batch."""
    return x if x.ndim == ndim else x.reshape((x.shape[0], *(1,) * (ndim - x.ndim), *x.shape[1:]))


def _over_features(x: Any) -> Tensor | None:
    """The mask of a tensor in the shape in which it broadcasts with it."""
    mask = mask_of(x)
    return None if mask is None else mask.reshape((*mask.shape, *(1,) * (x.ndim - mask.ndim)))


def _one_where_masked(x: Any) -> Any:
    mask = _over_features(x)
    return x if mask is None else masked(ops.where(mask, x, 1), mask_of(x))


def _whole_mask(x: Tensor, mask: Any) -> Tensor:
    """The mask in the shape of the tensor; True if it has none."""
    if mask is None:
        return ops.ones(x.shape, dtype="bool")
    mask = mask.reshape((*mask.shape, *(1,) * (x.ndim - mask.ndim)))
    return ops.broadcast_to(mask, x.shape)


def _unit(x: Tensor, axis: int) -> Tensor:
    """x over its norm along an axis, which counts as at least 10⁻¹²."""
    return x / ops.sqrt(ops.maximum(ops.sum(x * x, axis=axis, keepdims=True), 1e-24))


def _function(layer: type[Merge], name: str) -> Callable[..., Any]:
    """The function that makes a layer and calls it: add(inputs) is Add()(inputs)."""

    def merge(inputs: Any, **settings: Any) -> Any:
        return layer(**settings)(inputs)

    merge.__name__ = merge.__qualname__ = name
    example = "axes=1" if layer is Dot else ""
    merge.__doc__ = (
        f"{layer.__name__}(**settings)(inputs): a new layer, called with a list of tensors.\n\n"
        f">>> from minidl.keras import Input, layers\n"
        f">>> layers.{name}([Input((3,)), Input((3,))]{', ' if example else ''}{example}).shape\n"
        f"(None, {6 if layer is Concatenate else 1 if layer is Dot else 3})\n"
    )
    return merge


add = _function(Add, "add")
subtract = _function(Subtract, "subtract")
multiply = _function(Multiply, "multiply")
average = _function(Average, "average")
maximum = _function(Maximum, "maximum")
minimum = _function(Minimum, "minimum")
concatenate = _function(Concatenate, "concatenate")
dot = _function(Dot, "dot")
