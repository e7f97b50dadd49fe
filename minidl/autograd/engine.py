"""Backpropagation: from the gradient of an output to the gradients of everything before it.

The chain rule, from the end to the beginning.  Nodes are taken in the opposite order of their
recording, so that when a node's turn comes, everything that used its outputs has delivered its
share, and their sum is the whole gradient.  The node's pullback turns it into the gradients of the
node's inputs, which are delivered along its edges.

With `create_graph`, gradients are Tensors: each node's body runs again on the inputs it kept, in
the differentiable namespace, and the pullback that this gives is recorded as any operation is.

Of a complex number z = a + i·b, what travels through the graph is ∂L/∂a − i·∂L/∂b: then the
pullback of a holomorphic f is dz = f′(z)·dy, as of a real function, with nothing conjugated.  A
real number that met complex ones gets the real part.  Only where gradients leave the graph, and
where given ones enter it, are they conjugated: users see ∂L/∂a + i·∂L/∂b, the direction in which L
grows fastest, as in PyTorch.  K. Kreutz-Delgado 2009, arXiv:0906.4835.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from threading import Lock
from typing import Any

from minidl.autograd import inplace
from minidl.autograd.graph import Edge, Leaf, Node
from minidl.autograd.mode import current, recording_everything
from minidl.backends import backend_of, by_type, cpu, device_backend
from minidl.backends.rows import RowGradient
from minidl.errors import EXPLAINED, GradientError, MinidlError, describe, explain

# minidl.ops, which hands itself over when it is imported: the functions that compute on Tensors.
differentiable: Any = None

_leaf_lock = Lock()  # threads may run backward at once, on graphs that share leaves

Root = tuple[Edge, Any]  # where a walk begins, and with which gradient


class Recomputed:
    """In the place of a pullback: a part of the graph that is recorded only when its turn comes.

    `record` records it and gives the edges of the node's outputs in it, where the walk goes on.
    """

    __slots__ = ("record",)

    def __init__(self, record: Callable[[], list[Edge | None]]) -> None:
        self.record = record


def backward(roots: list[Root], *, create_graph: bool = False, retain_graph: bool = False) -> None:
    """Add to the `grad` of each leaf behind the roots its gradient."""
    arrived = _walk(roots, create_graph, retain_graph)
    taken = {id(gradient) for _, gradient in roots}
    found = [(leaf, _own(sums[0], taken)) for leaf, sums in arrived.items()]
    with _leaf_lock:
        for leaf, gradient in found:
            leaf.grad = gradient if leaf.grad is None else _sum(leaf.grad, gradient)


def gradients(
    roots: list[Root],
    wanted: list[Edge],
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> list[Any]:
    """The gradients of the roots at the edges `wanted`; None where they do not depend on it."""
    ends = {source for source, _ in wanted}
    needed = _sources_leading_to(ends, [source for (source, _), _ in roots])
    arrived = _walk(roots, create_graph, retain_graph, ends, needed)
    taken = {id(gradient) for _, gradient in roots}
    return [_own(arrived[s][i], taken) if s in arrived else None for s, i in wanted]


def _walk(
    roots: list[Root],
    create_graph: bool,
    retain_graph: bool,
    wanted: Iterable[Node | Leaf] = (),
    needed: set[Node | Leaf] | None = None,
) -> dict[Node | Leaf, list[Any]]:
    """What has arrived at the leaves and at the `wanted` nodes, for each of their outputs.

    With `needed`, everything else is left out.
    """
    arrived: dict[Node | Leaf, list[Any]] = {}
    own_sums: set[Edge] = set()  # edges whose sum is an array made here: it is added to in place
    ready: list[tuple[int, Node]] = []  # a heap, on which the latest recorded comes first

    def deliver(edge: Edge, gradient: Any) -> None:
        """Add a gradient to what has arrived at the other end of the edge."""
        source, index = edge
        if needed is not None and source not in needed:
            return
        shape, dtype = source.outputs[index]
        try:
            fits = gradient.shape == shape
        except AttributeError:
            raise _no_gradient(gradient, source.outputs[index]) from None
        if not fits:
            gradient = _sum_to_shape(gradient, shape)
        if gradient.dtype is not dtype:
            gradient = _in_dtype(gradient, dtype)
        sums = arrived.get(source)
        if sums is None:
            sums = arrived[source] = [None] * len(source.outputs)
            if type(source) is Node:
                heappush(ready, (-source.order, source))
        if sums[index] is None:
            sums[index] = gradient
        elif edge in own_sums:
            sums[index] += gradient
        else:
            sums[index] = sums[index] + gradient
            if not create_graph:
                own_sums.add(edge)

    pull = _watched if current.get().watch else _pull
    for edge, gradient in roots:
        deliver(edge, gradient)
    with recording_everything() if create_graph else cpu.quiet():
        while ready:
            node = heappop(ready)[1]
            dys = arrived[node] if node in wanted else arrived.pop(node)
            if node.hooks:
                _run_hooks(node, dys)
            try:
                for edge, gradient in pull(node, dys, create_graph, needed):
                    deliver(edge, gradient)
            except (MinidlError, *EXPLAINED) as error:
                raise explain(f"the pullback of {node.name}", dys, error) from error
            except Exception as error:
                error.add_note(f"minidl: in the pullback of {node.name}")
                raise
            if not retain_graph:
                node.release()
        for leaf, sums in arrived.items():
            if type(leaf) is Leaf and leaf.hooks:
                _run_hooks(leaf, sums)
    return arrived


def _pull(
    node: Node, dys: list[Any], create_graph: bool, needed: set[Node | Leaf] | None
) -> Iterable[tuple[Edge, Any]]:
    """The gradients of the node's inputs, each with the edge that it goes along."""
    if len(dys) > 1 or type(dys[0]) is RowGradient:
        dys = _complete(node, dys)
    pullback = node.pullback
    if pullback is None:
        node.check_alive()
    if node.order < inplace.latest_write:
        inplace.check_unwritten(node)
    if create_graph:
        pullback = _differentiable_pullback(node)
    if type(pullback) is tuple:
        for edge, pull in zip(node.edges, pullback):  # noqa: B905
            if edge is not None:
                yield edge, pull(*dys)
        return
    if type(pullback) is Recomputed:
        yield from _recompute(node, pullback, dys, needed)
        return
    found = pullback(*dys)
    found = found if type(found) is tuple else (found,)
    if len(found) != len(node.edges):
        raise GradientError(
            f"a pullback gave {len(found)} gradients for {len(node.edges)} inputs; needs a tuple "
            "with one for each"
        )
    for edge, gradient in zip(node.edges, found):  # noqa: B905
        if edge is not None:
            yield edge, gradient


def _recompute(
    node: Node, pullback: Recomputed, dys: list[Any], needed: set[Node | Leaf] | None
) -> Iterable[tuple[Edge, Any]]:
    """The gradients of the outputs, handed on to where the recomputation made them."""
    edges = pullback.record()
    if needed is not None:
        ends = [edge[0] for edge in edges if edge is not None]
        needed |= _sources_leading_to(needed, ends, node.order)
    for edge, dy in zip(edges, dys, strict=True):
        if edge is not None and dy is not None:
            yield edge, dy


def _watched(
    node: Node, dys: list[Any], create_graph: bool, needed: set[Node | Leaf] | None
) -> Iterable[tuple[Edge, Any]]:
    """What `_pull` gives, shown to those who watch."""
    for edge, gradient in _pull(node, dys, create_graph, needed):
        for watcher in current.get().watch:
            watcher.pulled(node, dys, edge, gradient)
        yield edge, gradient


def _complete(node: Node, dys: list[Any]) -> list[Any]:
    """An array for every output: zeros where nobody used it, rows as a dense array."""
    if type(node.pullback) is Recomputed:
        return dys  # each goes on as it is
    dense = [dy.dense() if type(dy) is RowGradient else dy for dy in dys]
    given = next(dy for dy in dense if dy is not None)
    device = given.device if hasattr(given, "edge") else backend_of(given).name
    zeros = device_backend(device).zeros
    return [
        zeros(shape, dtype=dtype) if dy is None else dy
        for (shape, dtype), dy in zip(node.outputs, dense, strict=True)
    ]


def _differentiable_pullback(node: Node) -> Any:
    """The node's pullback on Tensors."""
    if node.kept is None:
        raise GradientError(
            f"{node.name} was recorded for first derivatives only; to differentiate its gradient "
            "(create_graph=True), run the forward pass inside `with minidl.higher_order():`"
        )
    inputs, settings = node.kept
    return node.operation.body(differentiable, *inputs, **settings)[1]


def _sum_to_shape(gradient: Any, shape: tuple[int, ...]) -> Any:
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


def _in_dtype(gradient: Any, dtype: Any) -> Any:
    """The gradient in the dtype of its input: of complex numbers for a real one, the real part."""
    if gradient.dtype.kind not in "fcbiu":
        raise _no_gradient(gradient, (gradient.shape, dtype))
    if gradient.dtype.kind == "c" and dtype.kind != "c":
        xp = differentiable if hasattr(gradient, "edge") else backend_of(gradient)
        gradient = xp.real(gradient)
    return gradient.astype(dtype)


def _no_gradient(given: Any, needs: tuple[tuple[int, ...], Any]) -> GradientError:
    """The error of a pullback that gave something else than an array."""
    shape, dtype = needs
    return GradientError(
        f"a pullback gave {describe(given)} for an input {dtype} {shape}; needs an array; an input "
        "without a derivative has None in the place of its pullback, or zeros for its gradient"
    )


def _own(gradient: Any, taken: set[int]) -> Any:
    """The gradient as an array that nobody else holds: a copy of a view, or of one in `taken`.

    Complex ones are conjugated: here they leave the graph.
    """
    if type(gradient) not in by_type:
        backend = backend_of(gradient)
        if backend is None:  # a Tensor, a RowGradient or None
            complex_too = gradient is not None and gradient.dtype.kind == "c"
            return differentiable.conj(gradient) if complex_too else gradient
        gradient = backend.asarray(gradient)
    if gradient.dtype.kind == "c":
        backend = backend_of(gradient)
        gradient = backend.asarray(backend.conj(gradient))
    if gradient.base is not None or id(gradient) in taken:
        gradient = gradient.copy()
    taken.add(id(gradient))
    return gradient


def _sum(a: Any, b: Any) -> Any:
    """a + b, which NumPy makes a scalar where both have no axes."""
    total = a + b
    backend = None if type(total) in by_type else backend_of(total)
    return total if backend is None else backend.asarray(total)


def _run_hooks(source: Node | Leaf, gradients: list[Any]) -> None:
    """Show each gradient to its hooks; what a hook returns, if anything, replaces it."""
    for index, hook in source.hooks:
        if gradients[index] is not None:
            replaced = hook(gradients[index])
            gradients[index] = gradients[index] if replaced is None else replaced


def _sources_leading_to(
    wanted: set[Node | Leaf], ends: list[Node | Leaf], after: int = 0
) -> set[Node | Leaf]:
    """The part of the graph behind `ends` from which something wanted can be reached."""
    found = reachable(ends, after)
    needed = set(wanted)
    for node in sorted((s for s in found if type(s) is Node), key=lambda node: node.order):
        node.check_alive()
        if any(edge and edge[0] in needed for edge in node.edges):
            needed.add(node)
    return needed


def reachable(ends: Iterable[Node | Leaf], after: int = 0) -> set[Node | Leaf]:
    """Every node and leaf of the graph behind `ends`, them included; recorded `after` that tick."""
    ahead = [end for end in ends if end.order > after]
    found = set(ahead)
    while ahead:
        for edge in getattr(ahead.pop(), "edges", ()):
            if edge is not None and edge[0] not in found and edge[0].order > after:
                found.add(edge[0])
                ahead.append(edge[0])
    return found
