"""minidl predict: classify images with a trained network."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minidl import no_grad, softmax, tensor
from minidl.cli import runs
from minidl.cli.argument_types import positive
from minidl.cli.registry import DATA, classes, network
from minidl.data.images import FORMATS, MAX_PIXELS, read_image
from minidl.data.npz import read_npy, read_npz
from minidl.errors import ArgumentError, DTypeError, ShapeError

_ARRAYS = ".npy", ".npz"


def add_to(commands: Any) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser(
        "predict",
        help="classify images with a trained network",
        description=f"Classify images with a trained network: image files ({', '.join(FORMATS)}; "
        "needs minidl[images]), which are converted to grey and resized for the network; or arrays "
        "(.npy, .npz) of shape (H, W), (N, H, W) or (N, C, H, W), from 0 for paper to 1 for ink. "
        "Without files, images of the run's own test data.",
    )
    add = parser.add_argument
    add(
        "run_or_checkpoint",
        type=Path,
        metavar="RUN",
        help="the folder of a run, or a checkpoint in it",
    )
    add("files", nargs="*", type=Path, metavar="FILE", help="an image, or an array of images")
    add(
        "--count",
        type=positive(int),
        default=10,
        help="how many images of the test data to classify (10)",
    )
    add(
        "--max-pixels",
        type=positive(int),
        metavar="N",
        default=MAX_PIXELS,
        help=f"refuse larger image files ({MAX_PIXELS})",
    )
    add("--invert", action="store_true", help="the images are dark on light paper")
    add("--json", action="store_true", help="print a line of JSON for each image")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line for each image."""
    given = options.run_or_checkpoint
    current = runs.read(given.parent if given.is_file() else given)
    best = current.best if current.best.exists() else current.last
    checkpoint = given if given.is_file() else best
    model = network(current.settings["model"], current.settings["shape"])
    runs.load_weights(checkpoint, model)
    model.eval()
    names = classes(current.settings["data"])
    for name, image, label in _images(options, current):
        with no_grad():
            probabilities = softmax(model(tensor(image[None])), axis=1).numpy()[0]
        order = np.argsort(-probabilities, kind="stable")[:3]
        top = {names[i]: round(float(probabilities[i]), 6) for i in order}
        if options.json:
            line = {"image": name, "class": names[order[0]], "probabilities": top}
            print(json.dumps(line if label is None else {**line, "truth": names[label]}))
        else:
            shown = "   ".join(f"{p:6.1%} {kind}" for kind, p in top.items())
            truth = "" if label is None else f"   ({names[label]})"
            print(f"{name}: {shown}{truth}")
    return 0


def _images(
    options: argparse.Namespace, current: runs.Run
) -> Iterator[tuple[str, np.ndarray, int | None]]:
    """The name of each image, its values (C, H, W), and its class if known."""
    shape = tuple(current.settings["shape"])
    if not options.files:
        _, test = DATA[current.settings["data"]][0]()
        images, labels = test[: options.count]
        for i, (image, label) in enumerate(zip(images.numpy(), labels.tolist(), strict=True)):
            yield f"test {i}", image, label
    for path in options.files:
        arrays = path.suffix in _ARRAYS
        limit = {"max_pixels": options.max_pixels}
        batch = _arrays(path, shape) if arrays else read_image(path, shape, **limit)[None]
        for i, image in enumerate(batch):
            name = f"{path}[{i}]" if len(batch) > 1 else str(path)
            yield name, 1 - image if options.invert else image, None


def _arrays(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The images (N, C, H, W) of a file of arrays."""
    if path.suffix == ".npz":
        arrays = read_npz(path)
        if len(arrays) != 1:
            raise ArgumentError(f"{path}: needs one array; has {', '.join(arrays) or 'none'}")
        array = next(iter(arrays.values()))
    else:
        array = read_npy(path)
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"{path}: needs an array of real numbers; got {array.dtype}")
    for required in (shape, shape[1:]) if shape[0] == 1 else (shape,):
        if array.shape[-len(required) :] == required and array.ndim <= len(required) + 1:
            return _checked(path, array.reshape(-1, *shape).astype(np.float32))
    raise ShapeError(f"{path}: needs images of shape {shape}; got {array.shape}")


def _checked(path: Path, images: np.ndarray) -> np.ndarray:
    """The images, after checking that there are some, and that they are finite."""
    if not len(images):
        raise ShapeError(f"{path}: holds no images")
    if not np.isfinite(images).all():
        raise ArgumentError(f"{path}: holds NaN or infinity; an image is from 0 to 1")
    return images
