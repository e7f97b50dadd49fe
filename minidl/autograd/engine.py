"""Backpropagation: from the gradient of an output to the gradients of everything before it.

The chain rule, from the end to the beginning.  Nodes are taken in the opposite order of their
recording, so that when a node's turn comes, everything that used its outputs has delivered its
share, and their sum is the whole gradient.  The node's pullback turns it into the gradients of the
node's inputs, which are delivered along its edges.

With `create_graph`, gradients are Tensors: each node's body runs again on the inputs it kept, in
the differentiable namespace, and the pullback that this gives is recorded as any operation is.
"""

from collections.abc import Iterable
from heapq import heappop, heappush
from threading import Lock
from typing import Any

from minidl.autograd import inplace
from minidl.autograd.graph import Edge, Leaf, Node
from minidl.autograd.mode import recording_everything
from minidl.backends import backend_of, by_type, cpu, device_backend
from minidl.backends.rows import RowGradient
from minidl.errors import GradientError

# minidl.ops, which hands itself over when it is imported: the functions that compute on Tensors.
differentiable: Any = None

_leaf_lock = Lock()  # threads may run backward at once, on graphs that share leaves


def backward(
    roots: list[tuple[Edge, Any]], *, create_graph: bool = False, retain_graph: bool = False
) -> None:
    """Add to each leaf's `grad` the gradient of the roots, given as (edge, gradient) pairs."""
    walk = _Walk(create_graph, retain_graph)
    walk.run(roots)
    leaves = [source for source in walk.arrived if type(source) is Leaf]
    gradients = [walk.take(leaf, 0) for leaf in leaves]
    with _leaf_lock:
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient


def gradients(
    roots: list[tuple[Edge, Any]],
    wanted: list[Edge],
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> list[Any]:
    """The gradients of the roots at the edges `wanted`; None where they do not depend on it."""
    walk = _Walk(create_graph, retain_graph)
    walk.wanted = {source for source, _ in wanted}
    walk.needed = _sources_leading_to(walk.wanted, [edge[0] for edge, _ in roots])
    walk.run(roots)
    return [walk.take(source, index) for source, index in wanted]


class _Walk:
    """One walk back through the graph."""

    def __init__(self, create_graph: bool, retain_graph: bool) -> None:
        self.create_graph, self.retain_graph = create_graph, retain_graph
        self.arrived: dict[Node | Leaf, list[Any]] = {}  # for each output, the sum so far
        self.sums: set[Edge] = set()  # edges whose sum is an array made here: add in place
        self.ready: list[tuple[int, Node]] = []  # a heap: the latest recorded comes first
        self.needed: set[Node | Leaf] | None = None  # None: all
        self.wanted: set[Node | Leaf] = set()  # keep what arrives here
        self.taken: set[int] = set()  # arrays that somebody holds already, by id

    def run(self, roots: list[tuple[Edge, Any]]) -> None:
        """Deliver the roots, then every node's gradients, latest node first."""
        self.taken.update(id(gradient) for _, gradient in roots)
        for edge, gradient in roots:
            self.deliver(edge, gradient)
        with recording_everything() if self.create_graph else cpu.quiet():
            while self.ready:
                node = heappop(self.ready)[1]
                dys = self.arrived[node] if node in self.wanted else self.arrived.pop(node)
                if node.hooks:
                    _run_hooks(node, dys)
                try:
                    self.pull(node, dys)
                except Exception as error:
                    error.add_note(f"minidl: in the pullback of {node.name}")
                    raise
                if not self.retain_graph:
                    node.release()

    def deliver(self, edge: Edge, gradient: Any) -> None:
        """Add a gradient to what has arrived at the other end of the edge."""
        source, index = edge
        if self.needed is not None and source not in self.needed:
            return
        shape, dtype = source.outputs[index]
        if gradient.shape != shape:
            gradient = sum_to_shape(gradient, shape)
        if gradient.dtype is not dtype:
            gradient = gradient.astype(dtype)
        sums = self.arrived.get(source)
        if sums is None:
            sums = self.arrived[source] = [None] * len(source.outputs)
            if type(source) is Node:
                heappush(self.ready, (-source.order, source))  # a heap gives the least first
        if sums[index] is None:
            sums[index] = gradient
        elif edge in self.sums:
            sums[index] += gradient
        else:
            sums[index] = sums[index] + gradient
            if not self.create_graph:
                self.sums.add(edge)

    def pull(self, node: Node, dys: list[Any]) -> None:
        """Compute the gradients of the node's inputs, and deliver each along its edge."""
        if len(dys) > 1 or type(dys[0]) is RowGradient:
            dys = self.complete(node, dys)
        node.check_alive()
        if node.order < inplace.latest_write:
            inplace.check_unwritten(node)
        pullback = self.differentiable_pullback(node) if self.create_graph else node.pullback
        if type(pullback) is tuple:
            for edge, pull in zip(node.edges, pullback, strict=True):
                if edge is not None:
                    self.deliver(edge, pull(*dys))
        else:
            found = pullback(*dys)
            found = found if type(found) is tuple else (found,)
            for edge, gradient in zip(node.edges, found, strict=True):
                if edge is not None:
                    self.deliver(edge, gradient)

    def complete(self, node: Node, dys: list[Any]) -> list[Any]:
        """An array for every output: zeros where nobody used it, rows as a dense array."""
        dense = [dy.dense() if type(dy) is RowGradient else dy for dy in dys]
        given = next(dy for dy in dense if dy is not None)
        device = given.device if self.create_graph else backend_of(given).name
        zeros = device_backend(device).zeros
        return [
            zeros(shape, dtype=dtype) if dy is None else dy
            for (shape, dtype), dy in zip(node.outputs, dense, strict=True)
        ]

    def differentiable_pullback(self, node: Node) -> Any:
        """The node's pullback on Tensors."""
        if node.kept is None:
            raise GradientError(
                f"{node.name} was recorded for first derivatives only; to differentiate its "
                "gradient (create_graph=True), run the forward pass inside "
                "`with minidl.higher_order():`"
            )
        inputs, settings = node.kept
        return node.operation.body(differentiable, *inputs, **settings)[1]

    def take(self, source: Node | Leaf, index: int) -> Any:
        """What arrived, after the hooks of a leaf, as an array that nobody else holds."""
        arrived = self.arrived.get(source)
        if arrived is None or arrived[index] is None:
            return None
        if type(source) is Leaf and source.hooks:
            _run_hooks(source, arrived)
        gradient = arrived[index]
        if self.create_graph or type(gradient) is RowGradient:
            return gradient
        if type(gradient) not in by_type:
            gradient = backend_of(gradient).asarray(gradient)
        if gradient.base is not None or id(gradient) in self.taken:
            gradient = gradient.copy()
        self.taken.add(id(gradient))
        return gradient


def sum_to_shape(gradient: Any, shape: tuple[int, ...]) -> Any:
    """Broadcasting, turned round: an input that was stretched gets the sum over its copies."""
    xp = differentiable if hasattr(gradient, "edge") else backend_of(gradient)
    extra = len(gradient.shape) - len(shape)
    if extra > 0:
        gradient = xp.sum(gradient, axis=tuple(range(extra)), keepdims=False)
    if gradient.shape != shape and extra >= 0:
        stretched = tuple(i for i, n in enumerate(shape) if n == 1 != gradient.shape[i])
        gradient = xp.sum(gradient, axis=stretched, keepdims=True)
    if gradient.shape != shape:
        raise GradientError(f"a pullback gave shape {gradient.shape} for an input of shape {shape}")
    return gradient


def _run_hooks(source: Node | Leaf, gradients: list[Any]) -> None:
    """Show each gradient to its hooks; what a hook returns, if anything, replaces it."""
    for index, hook in source.hooks:
        if gradients[index] is not None:
            replaced = hook(gradients[index])
            gradients[index] = gradients[index] if replaced is None else replaced


def _sources_leading_to(wanted: set[Node | Leaf], ends: list[Node | Leaf]) -> set[Node | Leaf]:
    """The part of the graph behind `ends` from which something wanted can be reached."""
    found = reachable(ends)
    needed = wanted & found
    for node in sorted((s for s in found if type(s) is Node), key=lambda node: node.order):
        node.check_alive()
        if any(edge and edge[0] in needed for edge in node.edges):
            needed.add(node)
    return needed


def reachable(ends: Iterable[Node | Leaf]) -> set[Node | Leaf]:
    """Every node and leaf of the graph behind `ends`, them included."""
    found, ahead = set(ends), list(ends)
    while ahead:
        for edge in getattr(ahead.pop(), "edges", ()):
            if edge is not None and edge[0] not in found:
                found.add(edge[0])
                ahead.append(edge[0])
    return found
