"""The command line of minidl, with a module for each command."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from minidl.cli import data, generate, info, models, predict, recommenders, train, warmup
from minidl.errors import MinidlError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    _replace_what_cannot_be_printed()
    parser = _Parser(
        prog="minidl", description="Train small networks and recommenders, and use them."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (train, predict, generate, recommenders, models, data, warmup, info):
        command.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        with getattr(options, "device", None) or nullcontext():
            return options.run(options)
    except BrokenPipeError:  # the reader of the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 1
    except (MinidlError, OSError) as error:
        print(f"minidl: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print("interrupted", *interrupt.args, sep="; ", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """A parser that takes options anywhere, also between a RUN and the samples after it.

    argparse by itself takes as many positional arguments as it can where the first one stands, and
    refuses those that follow an option if there may be none of them.
    """

    _has_commands = _within = False

    def add_subparsers(self, **settings: Any) -> Any:
        self._has_commands = True
        return super().add_subparsers(**settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._has_commands or self._within:  # what is mixed comes after the command
            return super().parse_known_args(args, namespace)
        self._within = True  # it may call this method
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._within = False


def _replace_what_cannot_be_printed() -> None:
    """Print ? for characters that the terminal's encoding lacks, as × in ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
