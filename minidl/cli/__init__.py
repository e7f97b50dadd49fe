"""The command line of minidl, with a module for each command."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from minidl.cli import data, generate, info, models, predict, train, warmup
from minidl.errors import MinidlError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    _replace_what_cannot_be_printed()
    parser = argparse.ArgumentParser(
        prog="minidl", description="Train small networks on images and texts, and use them."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (train, predict, generate, models, data, warmup, info):
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


def _replace_what_cannot_be_printed() -> None:
    """Print ? for characters that the terminal's encoding lacks, as × in ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
