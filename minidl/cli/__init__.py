"""The command line of minidl, with a module for each command."""

import argparse
import sys
from collections.abc import Sequence

from minidl.cli import data, info, models, predict, train
from minidl.errors import MinidlError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="minidl", description="Train small image classifiers, and use them."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (train, predict, models, data, info):
        command.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (MinidlError, OSError) as error:
        print(f"minidl: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print("interrupted", *interrupt.args, sep="; ", file=sys.stderr)
        return 130
