"""minidl models: list the networks that can be trained by name."""

import argparse
from typing import Any

from minidl.cli.tasks import DATA, NETWORKS, TASKS


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
    width = max(map(len, NETWORKS))
    for name, about in NETWORKS.items():
        print(f"{name:{width}}   {about}\n{'':{width}}   parameters: {TASKS[name].sizes(name)}")
    print(f"\ndata: {', '.join(DATA)}\nto train one: minidl train cnn --data digits")
    return 0
