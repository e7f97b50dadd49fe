"""minidl generate: write a text with a trained language model."""

import argparse
import json
import time
from typing import Any

from minidl.cli import runs
from minidl.cli.argument_types import add_device, not_negative, positive
from minidl.cli.tasks import Writer
from minidl.errors import ArgumentError
from minidl.ops.random import Generator


def add_to(commands: Any) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "generate",
        help="write a text with a trained language model",
        description="Continue a text with a network that `minidl train charlm` has trained.",
    )
    runs.add_argument(parser)
    add = parser.add_argument
    add("--prompt", default="The ", metavar="TEXT", help="how the text begins (The)")
    add("--length", type=positive(int), default=500, metavar="N", help="characters to add (500)")
    add(
        "--temperature",
        type=not_negative(float),
        default=0.8,
        metavar="T",
        help="higher is bolder; at 0 the likeliest character is taken (0.8)",
    )
    add(
        "--top-k",
        type=positive(int),
        metavar="K",
        help="choose among so many of the likeliest characters (all)",
    )
    add("--seed", type=int, help="the same seed gives the same text (another each time)")
    add_device(parser)
    add("--json", action="store_true", help="print one line of JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the prompt, and how the network continues it."""
    current, task, model = runs.trained(options.run_or_checkpoint)
    if not isinstance(task, Writer):
        raise ArgumentError(
            f"{current.folder} has no language model, and cannot write; minidl train charlm "
            "makes one"
        )
    seed = time.time_ns() if options.seed is None else options.seed
    text = task.written(
        model,
        options.prompt,
        options.length,
        temperature=options.temperature,
        top_k=options.top_k,
        generator=Generator(seed),
    )
    print(json.dumps({"text": text, "seed": seed}) if options.json else text)
    return 0
