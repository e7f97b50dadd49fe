"""The tables that `summary` prints."""

from typing import Any

from minidl.keras.graph.tensor import Node
from minidl.keras.structure import map_leaves

_COLUMNS = ("layer", "output shape", "parameters")


def table(model: Any) -> str:
    """A row for each layer: its name and class, output shape, and number of parameters."""
    rows = [_COLUMNS]
    for layer in model.layers:
        if not layer.is_input:
            shape = _shape(layer.nodes[0]) if layer.nodes else "?"
            rows.append((layer.title, shape, _count(layer)))
    return _printed(model, rows)


def graph_table(model: Any) -> str:
    """A row for each call of a layer, with the names of the layers whose outputs it takes."""
    rows: list[tuple[str, ...]] = [(*_COLUMNS, "connected to")]
    counted = set()
    graph = model.graph
    calls: dict[int, list[Node]] = {}
    for node in [*(x.node for x in graph.inputs if x.node is not None), *graph.nodes]:
        calls.setdefault(id(node.layer), []).append(node)
    for layer in graph.operations:
        for node in calls.get(id(layer), []):
            count = "shared" if id(layer) in counted else _count(layer)
            counted.add(id(layer))
            sources = dict.fromkeys(x.name for x in node.inputs)
            rows.append((layer.title, _shape(node), count, ", ".join(sources)))
    return _printed(model, rows)


def _shape(node: Node) -> str:
    return str(map_leaves(lambda x: x.shape, node.structure))


def _count(layer: Any) -> str:
    return f"{layer.count_params():,}" if layer.built else "not built"


def _printed(model: Any, rows: list[Any]) -> str:
    """The rows below each other, and the numbers of parameters of the whole model."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = ["<", "<", ">", "<"]
    lines = [
        "  ".join(f"{x:{a}{w}}" for x, a, w in zip(row, aligned, widths, strict=False)).rstrip()
        for row in rows
    ]
    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    trainable = sum(x.size for x in model.trainable_weights)
    frozen = sum(x.size for x in model.non_trainable_weights)
    return "\n".join(
        [
            f"Model: {model.name}",
            lines[0],
            rule,
            *lines[1:],
            rule,
            f"{trainable + frozen:,} parameters: {trainable:,} trainable, {frozen:,} not",
        ]
    )
