"""What a kernel could take at best on two GPUs: bytes over bandwidth, operations over peak.

Bytes are the different ones that a launch read and wrote, operations what it did: both counted by
the executor of PTX, as instructions: what expf takes, and the padding of tiles, are among them. The
launch is the largest that the tests made, so its time alone says little:
what counts is which bound it meets, and how much more it reads than it must.
"""

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from .executed import Run
from .offline import is_double


@dataclass(frozen=True)
class Card:
    """Peak rates of a GPU, from its maker's data sheet."""

    name: str
    bandwidth: float  # bytes a second
    float32: float  # operations a second
    float64: float
    tensor: float  # the same in float16 on tensor cores, dense


CARDS = (
    Card("T4", 320e9, 8.1e12, 0.25e12, 65e12),
    Card("H200", 4800e9, 67e12, 34e12, 989e12),
)


def seconds(card: Card, work: dict[str, int], kernel: str = "") -> tuple[float, str]:
    """The least time of a launch, and what bounds it."""
    plain = "float64" if is_double(kernel) else "float32"
    times = {
        "bytes": (work["unique_read"] + work["unique_written"]) / card.bandwidth,
        plain: work["operations"] / getattr(card, plain),
        "tensor cores": work["matrix_operations"] / card.tensor,
    }
    bound = max(times, key=times.__getitem__)
    return times[bound], bound


def show(run: Run, kernels: list[str], console: Console) -> None:
    """Print the sheet."""
    table = Table(title="Roofline of the largest tested launch: an estimate, nothing was measured")
    for name in ("kernel", "KB", "requested / needed", "Mflop", "flop / byte"):
        table.add_column(name, justify="left" if name == "kernel" else "right", no_wrap=True)
    for card in CARDS:
        table.add_column(f"{card.name}, ns at least", justify="right")
        table.add_column(f"bound on {card.name}")
    for kernel in kernels:
        work = run.kernels.get(kernel, {}).get("largest")
        if not work:
            table.add_row(kernel, "no launch was counted")
            continue
        table.add_row(kernel, *_row(kernel, work))
    console.print(table)


def _row(kernel: str, work: dict[str, int]) -> list[str]:
    needed = max(1, work["unique_read"] + work["unique_written"])
    asked = work["bytes_read"] + work["bytes_written"]
    flops = work["operations"] + work["matrix_operations"]
    row = [
        f"{needed / 1e3:.1f}",
        f"{asked / needed:.1f}",
        f"{flops / 1e6:.3g}",
        f"{flops / needed:.2g}",
    ]
    for card in CARDS:
        least, bound = seconds(card, work, kernel)
        row += [f"{least * 1e9:.3g}", bound]
    return row
