"""The computation graph: nodes and edges, no tensors.

    x ──►┐
         ├─► multiply ──► sum ──► y              values flow forward
    w ──►┘
    Leaf ◄┐
          ├─ Node ◄────── Node ◄── edge of y     gradients flow back
    Leaf ◄┘

A tensor holds an *edge*, `(source, index)`: its gradient goes to output `index` of `source`, which
is the Node of the operation that computed it, or the Leaf of a tensor that the user created with
`requires_grad=True`.  References point backward only, so a graph lives exactly as long as someone
holds a tensor at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, TypeAlias

from minidl.errors import GradientError

# Numbers nodes, leaves and in-place writes in the order in which they happen.  A node is numbered
# after its inputs, so descending order is a reverse topological order.
tick = count(1).__next__


class Leaf:
    """The end of a path of gradients, which accumulate here in `grad`, the tensor's `.grad`."""

    __slots__ = ("grad", "hooks", "order", "outputs")

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.outputs = ((shape, dtype),)
        self.order = tick()
        self.grad: Any = None
        self.hooks: list[tuple[int, Callable[[Any], Any]]] | None = None


class Node:
    """One recorded operation.

    pullback    a tuple of functions, one for each input; or one function for all of them
    edges       one for each input; None for an input that needs no gradient
    outputs     the shape and dtype of each output; None of one that is constant
    saved       the inputs and settings of the call, if recorded under `minidl.higher_order()`
    """

    __slots__ = ("edges", "hooks", "operation", "order", "outputs", "pullback", "saved")

    def __init__(
        self, operation: Any, pullback: Any, edges: list[Any], outputs: list[Any], saved: Any
    ) -> None:
        self.operation = operation
        self.pullback = pullback
        self.edges: list[Edge | None] = edges
        self.outputs = outputs
        self.saved = saved
        self.order = tick()
        self.hooks: list[tuple[int, Callable[[Any], Any]]] | None = None

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self.operation.__name__

    def check_alive(self) -> None:
        """Raise if backward has used the node and released it."""
        if self.pullback is None:
            raise GradientError(
                f"{self.name}: this graph has been walked and its memory freed; to walk it twice, "
                "pass retain_graph=True the first time; to go on from a value that was computed in "
                "it, as the state of a recurrent layer, detach() that"
            )

    def saved_for_higher_order(self) -> Any:
        """The saved inputs and settings; raise if the node was recorded without them."""
        if self.saved is None:
            raise GradientError(
                f"{self.name} was recorded for first derivatives only; to differentiate its "
                "gradient (create_graph=True), run the forward pass inside "
                "`with minidl.higher_order():`"
            )
        return self.saved

    def release(self) -> None:
        """Free everything saved for backward."""
        self.pullback = self.saved = None
        self.edges = []


Source: TypeAlias = Node | Leaf
Edge: TypeAlias = tuple[Source, int]


def run_hooks(source: Source, gradients: list[Any]) -> None:
    """Show each gradient to its hooks; what a hook returns, unless None, replaces it."""
    for index, hook in source.hooks or ():
        if gradients[index] is not None:
            replaced = hook(gradients[index])
            gradients[index] = gradients[index] if replaced is None else replaced


def reachable(sources: Iterable[Source], after: int = 0) -> set[Source]:
    """These nodes and leaves and all that they depend on, as far as numbered after `after`."""
    frontier = [source for source in sources if source.order > after]
    visited = set(frontier)
    while frontier:
        for edge in getattr(frontier.pop(), "edges", ()):
            if edge is not None and edge[0] not in visited and edge[0].order > after:
                visited.add(edge[0])
                frontier.append(edge[0])
    return visited


def paths_to(targets: set[Source], sources: Iterable[Source], after: int = 0) -> set[Source]:
    """The targets, and every node on a path from the sources back to one of them."""
    on_path = set(targets)
    nodes = [s for s in reachable(sources, after) if isinstance(s, Node)]
    for node in sorted(nodes, key=lambda node: node.order):  # inputs before what uses them
        node.check_alive()
        if any(edge and edge[0] in on_path for edge in node.edges):
            on_path.add(node)
    return on_path
