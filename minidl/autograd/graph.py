"""The graph that operations leave behind: nodes and edges, no tensors.

    x ──►┐
         multiply ──► sum ──► y         values flow this way
    w ──►┘
    Leaf ◄── Node ◄── Node ◄── edge of y         gradients flow back

A tensor holds an *edge*, `(source, index)`: its gradient goes to output `index` of `source`, which
is the Node of the operation that made it, or the Leaf where the user wants the gradient kept.
Nobody points the other way, so a graph lives exactly as long as someone holds its end.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

from minidl.errors import GradientError

# Every node, leaf and in-place write takes the next number: what came later has a larger one.
tick = count(1).__next__

Edge = tuple["Node | Leaf", int]


class Leaf:
    """Where a gradient ends: it stays here as `grad`, the tensor's `.grad`."""

    __slots__ = ("grad", "hooks", "order", "outputs")

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.outputs = ((shape, dtype),)
        self.order = tick()
        self.grad: Any = None
        self.hooks: list[tuple[int, Callable[[Any], Any]]] | None = None


class Node:
    """One recorded operation."""

    __slots__ = ("edges", "hooks", "kept", "operation", "order", "outputs", "pullback")

    def __init__(
        self, operation: Any, pullback: Any, edges: list[Any], outputs: list[Any], kept: Any
    ) -> None:
        self.operation = operation
        self.pullback = pullback  # a tuple, one for each input, or one callable for all of them
        self.edges: list[Edge | None] = edges  # one for each input; None: wants no gradient
        self.outputs = outputs  # (shape, dtype) of each
        self.kept = kept  # inputs and settings, if it was recorded under higher_order()
        self.order = tick()
        self.hooks: list[tuple[int, Callable[[Any], Any]]] | None = None

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self.operation.__name__

    def check_alive(self) -> None:
        """Raise if the node has been used and released."""
        if self.pullback is None:
            raise GradientError(
                f"{self.name}: this graph has been walked and its memory freed; to walk it twice, "
                "pass retain_graph=True the first time"
            )

    def release(self) -> None:
        """Let go of everything saved: the node has been used."""
        self.pullback = self.kept = None
        self.edges = []
