"""Cells on top of each other, as one cell; and how cells of any kind are called."""

from collections.abc import Callable
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.errors import ShapeError
from minidl.keras.graph.tensor import Shape
from minidl.keras.layers import calling
from minidl.keras.layers.base import Layer, is_shape, layer_of
from minidl.keras.layers.cells import Cell
from minidl.keras.structure import flatten


class StackedRNNCells(Layer):
    """Cells on top of each other, as one: each takes the output of the one before it.

    The states are a list of those of each cell.

    >>> from minidl.keras import layers
    >>> cell = layers.StackedRNNCells([layers.LSTMCell(4), layers.GRUCell(2)])
    >>> layers.RNN(cell, return_sequences=True)(np.ones((3, 5, 6))).shape
    (3, 5, 2)
    """

    def __init__(self, cells: Any, **common: Any) -> None:
        super().__init__(**common)
        self.cells = [layer_of(cell, "StackedRNNCells") for cell in cells]
        if not self.cells:
            raise ShapeError("StackedRNNCells: needs at least one cell")

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the states of each cell."""
        return [cell.state_size for cell in self.cells]  # type: ignore[attr-defined]

    @property
    def output_size(self) -> int:
        """The size of the last output."""
        return output_size(self.cells[-1])

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Zeros for each state of each cell."""
        return [initial_state(cell, batch_size) for cell in self.cells]

    def build(self, input_shape: Shape) -> None:
        """Build each cell for the output of the one before it."""
        shape = tuple(input_shape)
        for cell in self.cells:
            cell.ensure_built(shape)
            shape = (shape[0], output_size(cell))
        self.built = True

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """The last output, and the new states of each cell."""
        new = []
        for cell, own in zip(self.cells, states, strict=True):
            inputs, state = call_cell(cell, inputs, own, training)
            new.append(state)
        return inputs, new

    def draw(self, inputs: Tensor, training: bool) -> Any:
        """What each cell leaves out."""
        drawn, x = [], inputs
        for cell in self.cells:
            drawn.append(cell.draw(x, training) if isinstance(cell, Cell) else None)
            x = ops.zeros((inputs.shape[0], output_size(cell)), dtype=self.compute_dtype)
        return drawn

    def keep_drawn(self, drawn: Any) -> None:
        """Use these in all steps, until called with None."""
        for i, cell in enumerate(self.cells):
            if isinstance(cell, Cell):
                cell.keep_drawn(None if drawn is None else drawn[i])


def call_cell(cell: Any, inputs: Any, states: Any, training: bool) -> tuple[Any, Any]:
    """The output and the new states of any cell."""
    takes: Callable[..., bool] = calling.signature(cell.call).__contains__
    more = {"training": training} if takes("training") else {}
    return cell(inputs, states, **more) if callable(cell) else cell.call(inputs, states, **more)


def output_size(cell: Any) -> int:
    """The length of a cell's output: its output_size, or the length of its first state."""
    size = getattr(cell, "output_size", None)
    return flatten(cell.state_size)[0] if size is None else size


def initial_state(cell: Any, batch_size: int | None) -> Any:
    """The states at first, of any cell: zeros, or what it says."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(batch_size=batch_size)
    sizes = cell.state_size if is_shape(cell.state_size) else [cell.state_size]
    dtype = getattr(cell, "dtype", "float32")
    return [ops.zeros((batch_size or 0, n), dtype=dtype) for n in sizes]
