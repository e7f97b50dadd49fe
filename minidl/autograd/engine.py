"""Backpropagation: from the gradient of an output to the gradients of everything it depends on.

Reverse-mode automatic differentiation.  Nodes are visited in reverse topological order, the latest
recorded first, so that when a node is visited, every use of its outputs has contributed, and the
sum of these contributions is the whole gradient.  The node's pullback turns it into the gradients
of the node's inputs, which flow on along its edges.

With `create_graph`, gradients are Tensors: each node's body runs again on its saved inputs, with
minidl's own operations for `xp`, so that what its pullback computes is recorded, too.

For a complex z = a + i·b, ∂L/∂a − i·∂L/∂b flows through the graph, so that the pullback of a
holomorphic f is dz = f′(z)·dy, as for a real one.  Where gradients enter or leave the graph, they
are conjugated: users see ∂L/∂a + i·∂L/∂b, the direction of steepest ascent of L, as in PyTorch.
"""

from collections.abc import Iterable
from contextlib import nullcontext
from heapq import heappop, heappush
from threading import Lock
from typing import Any

from minidl.autograd import inplace, namespace
from minidl.autograd.accumulate import add, dense, fit, leave_graph, wrong_count
from minidl.autograd.graph import Edge, Leaf, Node, Source, paths_to, run_hooks
from minidl.autograd.mode import current, replaying
from minidl.backends import cpu, registry
from minidl.backends.rows import RowGradient
from minidl.errors import EXPLAINED, MinidlError, raise_explained

Root = tuple[Edge, Any]  # where backpropagation starts, and the gradient there
_leaf_lock = Lock()  # threads may run backward at once, on graphs that share leaves


def backward(roots: list[Root], *, create_graph: bool, retain_graph: bool) -> None:
    """Add the gradient of each leaf that the roots depend on to its `grad`."""
    with registry.keeping_devices():
        accumulated = _walk(roots, create_graph, retain_graph)
        shared = {id(gradient) for _, gradient in roots}
        results = [(leaf, _left(sums[0], shared)) for leaf, sums in accumulated.items()]
        with _leaf_lock:
            for leaf, gradient in results:
                if leaf.grad is None:
                    leaf.grad = gradient
                    continue
                if registry.several:
                    registry.make_current(gradient)
                with cpu.quiet():
                    leaf.grad = add(leaf.grad, gradient)


def gradients(
    roots: list[Root], targets: list[Edge], *, create_graph: bool, retain_graph: bool
) -> list[Any]:
    """The gradients at the target edges; None where no root depends on one."""
    sources = {source for source, _ in targets}
    needed = paths_to(sources, [source for (source, _), _ in roots])
    with registry.keeping_devices():
        sums = _walk(roots, create_graph, retain_graph, sources, needed)
        shared = {id(gradient) for _, gradient in roots}
        return [_left(sums[s][i], shared) if s in sums else None for s, i in targets]


def _left(gradient: Any, shared: set[int]) -> Any:
    """`leave_graph` on the device of the gradient."""
    if registry.several:
        registry.make_current(gradient)
    return leave_graph(gradient, shared)


def _walk(
    roots: list[Root],
    create_graph: bool,
    retain_graph: bool,
    targets: Iterable[Source] = (),
    needed: set[Source] | None = None,
) -> dict[Any, list[Any]]:
    """Visit the nodes; return the gradients accumulated at the leaves and the targets.

    With `needed`, gradients of any other source are dropped.
    """
    accumulated: dict[Any, list[Any]] = {}  # for each source, a sum for each of its outputs
    buffers: set[Edge] = set()  # edges whose sum was allocated here, and may be written to
    ready: list[tuple[int, Any]] = []  # a heap: the node recorded last comes first

    def deliver(edge: Edge, gradient: Any) -> None:
        source, index = edge
        if needed is not None and source not in needed:
            return
        if registry.several:
            registry.make_current(gradient)
        shape, dtype = source.outputs[index]
        try:
            fits = gradient.shape == shape and gradient.dtype is dtype
        except AttributeError:
            fits = False
        if not fits:
            gradient = fit(gradient, shape, dtype)
        sums = accumulated.get(source)
        if sums is None:
            sums = accumulated[source] = [None] * len(source.outputs)
            if type(source) is not Leaf:
                heappush(ready, (-source.order, source))
        if sums[index] is None:
            sums[index] = gradient
        elif edge in buffers and type(gradient) is not RowGradient:
            sums[index] += gradient
        else:
            sums[index] = sums[index] + gradient
            if not create_graph:
                buffers.add(edge)

    observers = current.get().observers
    for edge, gradient in roots:
        deliver(edge, gradient)
    with cpu.quiet(), replaying() if create_graph else nullcontext():
        while ready:
            node = heappop(ready)[1]
            dys = accumulated[node] if node in targets else accumulated.pop(node)
            if node.hooks:
                run_hooks(node, dys)
            if registry.several:
                registry.make_current(next(dy for dy in dys if dy is not None))
            try:
                for edge, gradient in _pull(node, dys, create_graph, needed):
                    for observer in observers:
                        observer.pulled(node, dys, edge, gradient)
                    deliver(edge, gradient)
            except (MinidlError, *EXPLAINED) as error:
                raise_explained(f"the pullback of {node.name}", dys, error)
            except Exception as error:
                error.add_note(f"minidl: in the pullback of {node.name}")
                raise
            if not retain_graph:
                node.release()
        for leaf, sums in accumulated.items():
            if type(leaf) is Leaf and leaf.hooks:
                run_hooks(leaf, sums)
    return accumulated


def _pull(
    node: Any, dys: list[Any], create_graph: bool, needed: set[Source] | None
) -> Iterable[tuple[Edge, Any]]:
    """Call the node's pullback: the gradient of each input, with the edge that it flows along."""
    if type(node) is not Node:  # a checkpoint: the walk goes on in the graph that it records now
        yield from node.pull(dys, create_graph, needed)
        return
    if len(dys) > 1 or type(dys[0]) is RowGradient:
        dys = dense(dys, node.outputs)
    pullback = node.pullback
    if pullback is None:
        node.check_alive()
    if node.order < inplace.latest_write:
        inplace.check_unwritten(node)
    if create_graph:
        inputs, settings = node.saved_for_higher_order()
        _, pullback = node.operation.body(namespace.differentiable, *inputs, **settings)
    if type(pullback) is tuple:
        for edge, pull in zip(node.edges, pullback):  # noqa: B905
            if edge is not None:
                yield edge, pull(*dys)
        return
    dxs = pullback(*dys)
    dxs = dxs if type(dxs) is tuple else (dxs,)
    if len(dxs) != len(node.edges):
        raise wrong_count(len(dxs), len(node.edges))
    for edge, dx in zip(node.edges, dxs):  # noqa: B905
        if edge is not None:
            yield edge, dx
