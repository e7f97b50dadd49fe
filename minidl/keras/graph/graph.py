"""Graph: the calls between some symbolic tensors and others, and how they are run.

Consecutive layers that are made of modules become one `Chain`: a Sequential of `minidl.nn`, which
fuses operations and transposes images once.  Between chains, tensors are Keras's: channels last.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import takewhile
from typing import Any, NamedTuple

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError
from minidl.keras.graph.tensor import KerasTensor, Node, symbolic
from minidl.keras.layers.calling import is_training
from minidl.keras.layers.composition import chain, run_in_mode
from minidl.keras.layers.mixed_chain import MixedChain
from minidl.keras.masking import mask_of, masked, passing
from minidl.keras.structure import flatten, pack


class Chain:
    """Calls in a row of layers that are made of modules, as one Sequential.

    source, target    the tensor that goes in, and the one that comes out
    """

    def __init__(self, node: Node) -> None:
        self.nodes = [node]
        self.source: KerasTensor = node.inputs[0]
        self._network: nn.Sequential | None = None
        self._reached: list[nn.Module] | None = None  # modules to which a mask of the source gets

    @property
    def target(self) -> KerasTensor:
        """The tensor that comes out."""
        return self.nodes[-1].outputs[0]

    @property
    def layers(self) -> list[Any]:
        """The layers in order."""
        return [node.layer for node in self.nodes]

    @property
    def network(self) -> nn.Sequential:
        """The modules of the layers."""
        if self._network is None:
            self._network = chain(self.layers, self.source.shape)
            self._modules = tuple(self._network.modules())
        return self._network

    def ending(self, end: str) -> nn.Sequential:
        """The modules of the layers, with the channels of the output "last" or "first".

        A last softmax is the last module of it, in whatever precision the layers compute.
        """
        network = self.network if end == "last" else chain(self.layers, self.source.shape, end)
        return (
            nn.Sequential(*network.stages.modules) if isinstance(network, MixedChain) else network
        )

    def mask(self, mask: Any) -> Any:
        """The mask of the output, of that of the input: the same, if all layers support masks."""
        if mask is None:
            return None
        for layer in self.layers:
            if not layer.supports_masking:
                layer.tell_of_lost_mask()
                return None
        return mask

    def passing(self, mask: Any) -> AbstractContextManager[None]:
        """A block in which the modules compute with a mask, up to where it ends."""
        if mask is not None and self._reached is None:
            layers = takewhile(lambda layer: layer.supports_masking, self.layers)
            parts = [part for layer in layers for part in layer.parts]
            self._reached = [module for part in parts for module in part.modules()]
        return passing(mask, self._reached or ())

    def run(self, values: dict[int, Any]) -> None:
        """Compute the target, in the mode of the call that this is in."""
        x, network = values[id(self.source)], self.network
        mask = mask_of(x)
        with self.passing(mask):
            y = run_in_mode(network, self._modules, bool(is_training()), x)
        values[id(self.target)] = masked(y, self.mask(mask))


class Call:
    """One call of any layer."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def run(self, values: dict[int, Any]) -> None:
        """Compute the outputs of the call."""
        args, kwargs = self.node.filled(values)
        outputs = flatten(self.node.layer(*args, **kwargs))
        for x, value in zip(flatten(self.node.structure), outputs, strict=True):
            values[id(x)] = value  # also of what is no tensor, as None


class Split(NamedTuple):
    """A graph divided for training: the chains that end in outputs, and the steps before them.

    tails    for each output its chain, or None if it is used elsewhere or is no chain's
    """

    trunk: list[Chain | Call]
    tails: list[Chain | None]


class Graph:
    """The calls that lead from symbolic inputs to symbolic outputs.

    inputs, outputs    the leaves of the structures that a model was given
    nodes              the calls, each after those that it needs
    layers             the layers, as Keras orders them: by their distance from the outputs
    """

    def __init__(self, who: str, inputs: Any, outputs: Any) -> None:
        self.who, self.inputs_structure, self.outputs_structure = who, inputs, outputs
        self.inputs = symbolic(who, "inputs", inputs)
        self.outputs = symbolic(who, "outputs", outputs)
        if len({id(x) for x in self.inputs}) < len(self.inputs):
            raise ArgumentError(f"{who}: an input is given twice")
        self.nodes, self._visited = _sorted_nodes(self.inputs, self.outputs)
        self._check_connected()
        self.operations = self._by_depth()
        self.layers = [layer for layer in self.operations if not layer.is_operation]
        self.steps = self._planned()
        self._consumed = {x for step in self.steps for x in _needs(step)}
        # Layers made of modules cast what goes into them; to others, it goes as the graph says.
        calls = [s for s in self.steps if isinstance(s, Call) and not s.node.layer.is_modular]
        self._of_calls = {x for step in calls for x in _needs(step)}

    # Structure.

    def _check_connected(self) -> None:
        known = {id(x) for x in self.inputs}
        for node in self.nodes:
            for x in node.inputs:
                if id(x) not in known:
                    given = ", ".join(x.name for x in self.inputs)
                    raise ArgumentError(
                        f"{self.who}: the outputs need {x.name!r}, which does not come from the "
                        f"inputs {given}: {node.layer.title} is called with it; add it to inputs"
                    )
            known |= {id(x) for x in node.outputs}
        for x in self.outputs:
            if id(x) not in known:
                raise ArgumentError(f"{self.who}: the output {x.name!r} comes from no input")

    def _by_depth(self) -> list[Any]:
        """The layers by the number of calls from them to an output, the farthest first."""
        inside = set(map(id, self.nodes))
        node_depths: dict[int, int] = {}
        depths: dict[int, int] = {}
        layers: dict[int, Any] = {}
        sources = [x.node for x in self.inputs if x.node is not None]
        for node in [*reversed(self.nodes), *sources]:
            if node in sources and not node.layer.is_input:
                continue
            own = id(node.layer)
            depth = max(node_depths.get(id(node), 0), depths.get(own, 0))
            depths[own] = node_depths[id(node)] = depth
            layers[own] = node.layer
            for x in node.inputs:
                before = x.node
                if before is not None and (id(before) in inside or before in sources):
                    node_depths[id(before)] = max(depth + 1, node_depths.get(id(before), 0))
        rank = {id(layer): i for i, layer in enumerate(self._visited)}
        return sorted(layers.values(), key=lambda x: (-depths[id(x)], rank.get(id(x), -1)))

    def _planned(self) -> list[Chain | Call]:
        """The calls as steps, in an order in which they can run."""
        uses: dict[int, int] = {}
        for x in [*(x for node in self.nodes for x in node.inputs), *self.outputs]:
            uses[id(x)] = uses.get(id(x), 0) + 1
        steps: list[Chain | Call] = []
        ends: dict[int, Chain] = {}  # the chain that ends in a tensor
        for node in self.nodes:
            if not _is_link(node):
                steps.append(Call(node))
                continue
            source = node.inputs[0]
            before = ends.pop(id(source), None) if uses[id(source)] == 1 else None
            if before is None:
                before = Chain(node)
                steps.append(before)
            else:
                before.nodes.append(node)
            ends[id(node.outputs[0])] = before
        return steps

    @property
    def only_chain(self) -> Chain | None:
        """The chain that is all of the graph, if it is one of one input and one output."""
        if len(self.steps) != 1 or not isinstance(self.steps[0], Chain):
            return None
        step = self.steps[0]
        simple = self.inputs_structure is step.source and self.outputs_structure is step.target
        return step if simple else None

    def split(self) -> Split:
        """The graph divided for training."""
        tails: list[Chain | None] = []
        for x in self.outputs:
            ends = (s for s in self.steps if isinstance(s, Chain) and s.target is x)
            free = x not in self._consumed and sum(y is x for y in self.outputs) == 1
            tails.append(next(ends, None) if free else None)
        trunk = [step for step in self.steps if step not in tails]
        return Split(trunk, tails)

    # Computation.

    def begin(self, inputs: list[Tensor]) -> dict[int, Any]:
        """The values of the inputs, by the id of the symbolic tensor."""
        values = {}
        for x, value in zip(self.inputs, inputs, strict=True):
            cast = x in self._of_calls and x.dtype.startswith("float")
            if cast and value.dtype.kind != "f":
                value = masked(value.astype(x.dtype), mask_of(value))
            values[id(x)] = value
        return values

    def run(self, inputs: Any) -> Any:
        """The outputs, in their structure, for inputs in theirs."""
        values = self.begin(flatten(inputs))
        for step in self.steps:
            step.run(values)
        return pack(self.outputs_structure, [values[id(x)] for x in self.outputs])


def _is_link(node: Node) -> bool:
    """Whether a call can be part of a chain: one tensor in, one out, and no other arguments."""
    layer = node.layer
    plain = len(node.args) == 1 and isinstance(node.args[0], KerasTensor) and not node.kwargs
    return plain and layer.is_modular and not layer.makes_masks


def _needs(step: Chain | Call) -> list[KerasTensor]:
    return [step.source] if isinstance(step, Chain) else step.node.inputs


def _sorted_nodes(
    inputs: list[KerasTensor], outputs: list[KerasTensor]
) -> tuple[list[Node], list[Any]]:
    """The calls between inputs and outputs, each after those that it needs; and their layers.

    A depth-first search from the outputs; the layers are in the order in which it came to them.
    """
    stop = {id(x) for x in inputs}
    done: set[int] = set()
    order: list[Node] = []
    visited: list[Any] = []
    for output in outputs:
        stack: list[tuple[Node, Iterator[KerasTensor]]] = []

        def enter(x: KerasTensor, stack: list[Any] = stack) -> None:
            node = x.node
            if node is None or id(node) in done:
                return
            if not any(layer is node.layer for layer in visited):
                visited.append(node.layer)
            if id(x) in stop or node.layer.is_input:
                return
            done.add(id(node))
            stack.append((node, iter(node.inputs)))

        enter(output)
        while stack:
            node, rest = stack[-1]
            x = next(rest, None)
            if x is None:
                order.append(node)
                stack.pop()
            else:
                enter(x)
    return order, visited
