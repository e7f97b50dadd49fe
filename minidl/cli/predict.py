"""minidl predict: classify images or texts with a trained network."""

import argparse
import json
from typing import Any

import numpy as np

from minidl import no_grad, softmax
from minidl.cli import runs
from minidl.cli.argument_types import add_device, positive
from minidl.cli.tasks import Classifier
from minidl.data.images import FORMATS, MAX_PIXELS
from minidl.errors import ArgumentError


def add_to(commands: Any) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "predict",
        help="classify images or texts with a trained network",
        description="Classify images or texts with a trained network. "
        f"Images: files ({', '.join(FORMATS)}; "
        "needs minidl[images]), which are converted to grey and resized for the network; or arrays "
        "(.npy, .npz) of shape (H, W), (N, H, W) or (N, C, H, W), from 0 for paper to 1 for ink. "
        "Texts: as they are, each in quotes. Without any, samples of the run's own test data.",
    )
    runs.add_argument(parser)
    add = parser.add_argument
    add("given", nargs="*", metavar="SAMPLE", help="an image, an array of images, or a text")
    add(
        "--count",
        type=positive(int),
        default=10,
        help="how many samples of the test data to classify (10)",
    )
    add(
        "--max-pixels",
        type=positive(int),
        metavar="N",
        default=MAX_PIXELS,
        help=f"refuse larger image files ({MAX_PIXELS})",
    )
    add("--invert", action="store_true", help="the images are dark on light paper")
    add_device(parser)
    add("--json", action="store_true", help="print a line of JSON for each sample")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line for each sample."""
    current, task, model = runs.trained(options.run_or_checkpoint)
    if not isinstance(task, Classifier):
        raise ArgumentError(
            f"{current.folder} has no classes to predict; it writes: minidl generate"
        )
    names = task.classes()
    chosen = {"max_pixels": options.max_pixels, "invert": options.invert}
    samples = task.samples(options.given, options.count, current.folder, **chosen)
    for name, inputs, label in samples:
        with no_grad():
            probabilities = softmax(model(*inputs), axis=1).numpy()[0]
        order = np.argsort(-probabilities, kind="stable")[:3]
        top = {names[i]: round(float(probabilities[i]), 6) for i in order}
        if options.json:
            line = {task.SAMPLE: name, "class": names[order[0]], "probabilities": top}
            print(json.dumps(line if label is None else {**line, "truth": names[label]}))
        else:
            shown = "   ".join(f"{p:6.1%} {kind}" for kind, p in top.items())
            truth = "" if label is None else f"   ({names[label]})"
            is_text = task.SAMPLE == "text"  # and may be long, and end with a point
            print(f"{shown}{truth}   {name}" if is_text else f"{name}: {shown}{truth}")
    return 0
