"""minidl models: list the networks that can be trained by name."""

import argparse
from typing import Any

from minidl.cli.registry import DATA, MODELS, network


def add_to(commands: Any) -> None:
    """Add the command, which has no arguments."""
    parser = commands.add_parser(
        "models",
        help="list the networks that can be trained",
        description="List the networks that `minidl train` can train, with their sizes.",
    )
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print two lines for each network."""
    for name, about in MODELS.items():
        sizes = [
            f"{sum(p.size for p in network(name, shape).parameters()):,} for {side}×{side}"
            for side, shape in ((8, (1, 8, 8)), (28, (1, 28, 28)))
        ]
        print(f"{name}   {about}\n      parameters: {', '.join(sizes)} images")
    print(f"\ndata: {', '.join(DATA)}\nto train one: minidl train cnn --data digits")
    return 0
