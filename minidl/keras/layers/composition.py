"""Modules composed of layers: a chain of layers as one Sequential, and a layer as a module."""

from collections.abc import Iterable
from typing import Any

from minidl import nn
from minidl.keras.data_format import Cast, ChannelsFirst, ChannelsLast
from minidl.keras.graph.tensor import Shape
from minidl.keras.layers.calling import calling
from minidl.keras.layers.mixed_chain import MixedChain, Step, is_head
from minidl.nn import Module


class Called(Module):
    """A layer whose `call` computes, as a module: with its weights, and those of its layers.

    own       its own weights by name
    layers    the modules of the layers inside it, by name or by the path of attributes
    """

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.own: dict[str, Any] = layer._own_weights
        self.layers = nn.ModuleDict()
        self.training = False

    def refresh(self) -> None:
        """Look for layers that were created, or got their weights, since the last time."""
        self.layers = nn.ModuleDict()
        for path, layer in self.layer.named_sublayers():
            module, key = layer.module, path.replace(".", "/")
            if module is not None:
                self.layers[f"{key}_" if hasattr(nn.ModuleDict, key) else key] = module
        self.layers.train(self.training)

    def forward(self, *inputs: Any) -> Any:
        """The layer's outputs, in the mode of this module."""
        with calling(self.training):
            return self.layer(*inputs)

    def extra_repr(self) -> str:
        """The layer."""
        return self.layer.title


def in_order(layers: Iterable[Any], shape: Shape, end: str = "last") -> list[Step]:
    """The modules of built layers, with transpositions where a layer needs another data format.

    shape    of the input, channels-last
    end      "last" or "first": where the output has its channels, if it has more than two axes
    """
    steps: list[Step] = []
    first = False  # whether the channels are on axis 1 at this point

    def transpose(to_first: bool) -> None:
        nonlocal first
        if to_first != first:
            policy = steps[-1][1] if steps else None
            steps.append((ChannelsFirst() if to_first else ChannelsLast(), policy))
            first = to_first

    for layer in layers:
        if len(shape) > 2 and layer.order != "any":
            transpose(layer.order == "first")
        policy = layer.dtype_policy if layer.has_precision else None
        steps += [(part, policy) for part in layer.parts]
        shape = layer.compute_output_shape(shape)
        first = first and len(shape) > 2
    if len(shape) > 2 and first != (end == "first"):
        heads = [steps.pop()] if steps and is_head(steps[-1][0]) else []
        transpose(end == "first")
        steps += [(_transposed(head, first, len(shape)), policy) for head, policy in heads]
    return steps


def chain(layers: list[Any], shape: Shape, end: str = "last") -> nn.Sequential:
    """The modules of built layers in order, after a cast to the dtype that the first one takes."""
    cast = Cast(layers[0].input_dtype if layers else "float32")
    steps = in_order(layers, shape, end)
    modules = [module for module, _ in steps]
    mixed = any(layer.has_precision and layer.dtype_policy.is_mixed for layer in layers)
    network = MixedChain(cast, steps) if mixed else nn.Sequential(cast, *modules)
    # Those of the layers keep their modes: they may be in training just now.
    for module in (network, cast, *(m for m in modules if isinstance(m, _TRANSPOSITIONS))):
        module.training = False
    return network


_TRANSPOSITIONS = ChannelsFirst, ChannelsLast


def run_in_mode(network: Module, modules: Iterable[Module], training: bool, x: Any) -> Any:
    """network(x) with these modules of it in training or evaluation mode; then they are as before.

    Within `fit` and `evaluate` they are in the right one already.
    """
    changed = [module for module in modules if module.training is not training]
    for module in changed:
        module.training = training
    try:
        return network(x)
    finally:
        for module in changed:
            module.training = not training


def _transposed(head: Module, first: bool, ndim: int) -> Module:
    """The last activation, for transposed inputs: losses expect it to be the last module."""
    if not isinstance(head, nn.Softmax) or head.dim is None:
        return head
    axis = head.dim % ndim
    before = (0, *range(2, ndim), 1) if first else (0, ndim - 1, *range(1, ndim - 1))
    return nn.Softmax(dim=before[axis])
