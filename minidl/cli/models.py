"""minidl models: list the networks that can be trained by name."""

import argparse
from typing import Any

from minidl.cli import recommenders
from minidl.cli.tasks import DATA, NETWORKS, TASKS


def add_to(commands: Any) -> None:
    """Add the command, which has no arguments."""
    parser = commands.add_parser(
        "models",
        help="list what can be trained",
        description="List what `minidl train` can train, networks with their sizes.",
    )
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print two lines for each network."""
    width = max(map(len, [*NETWORKS, recommenders.NAME]))
    for name, about in NETWORKS.items():
        print(f"{name:{width}}   {about}\n{'':{width}}   parameters: {TASKS[name].sizes(name)}")
    print(f"{recommenders.NAME:{width}}   with --model:")
    for name, kind in recommenders.MODELS.items():
        print(f"{'':{width}}   {name:14} {kind.about} (`minidl.recommend.{kind.class_name}`)")
    print("\ndata:", ", ".join([*DATA, *recommenders.DATA]))
    print("to train one: minidl train cnn --data digits")
    return 0
