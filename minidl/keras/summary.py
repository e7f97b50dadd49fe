"""The table that `Sequential.summary` prints."""

from collections.abc import Sequence

from minidl.keras.layers.base import Layer, Shape


def table(name: str, layers: Sequence[Layer], shape: Shape) -> str:
    """A row for each layer: its name and class, output shape, and number of parameters."""
    rows = [("layer", "output shape", "parameters")]
    for layer in layers:
        shape = layer.compute_output_shape(shape)
        rows.append((layer.title, str(shape), f"{layer.count_params():,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{title:<{widths[0]}}  {output:<{widths[1]}}  {count:>{widths[2]}}"
        for title, output, count in rows
    ]
    rule = "─" * (sum(widths) + 4)
    trainable = sum(x.size for layer in layers for x in layer.trainable_weights)
    frozen = sum(x.size for layer in layers for x in layer.non_trainable_weights)
    return "\n".join(
        [
            f"Model: {name}",
            lines[0],
            rule,
            *lines[1:],
            rule,
            f"{trainable + frozen:,} parameters: {trainable:,} trainable, {frozen:,} not",
        ]
    )
