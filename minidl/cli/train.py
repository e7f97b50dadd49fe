"""minidl train: train an image classifier."""

import argparse
import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minidl import __version__, nn
from minidl.backends.kernels.runtime import kernel
from minidl.cli import runs
from minidl.cli.argument_types import fraction, positive
from minidl.cli.registry import DATA, KERNELS, MODELS, network
from minidl.data import DataLoader, random_split
from minidl.errors import ArgumentError
from minidl.ops.random import Generator, manual_seed
from minidl.optim import Adam
from minidl.train import Checkpoint, HistoryWriter, Progress, Trainer, learning_curves

_DEFAULTS = {
    "data": "digits",
    "batch_size": 32,
    "lr": 1e-3,
    "seed": 0,
    "validation": 0.1,
    "save_every": None,
}


def add_to(commands: Any) -> None:
    """Add the command and its arguments; those not given are absent from the namespace."""
    parser = commands.add_parser(
        "train",
        help="train a network on real data and test it",
        description="Train a network to classify images into ten classes, and test it. A tenth "
        "of the training data is held out for validation; the network of the epoch that "
        "did best there is tested. Each run creates a folder with its settings, history, "
        "learning curves and checkpoints.",
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("model", choices=list(MODELS), help="; ".join(f"{k}: {v}" for k, v in MODELS.items()))
    add(
        "--data",
        choices=list(DATA),
        help="digits (default) come with minidl, others are downloaded",
    )
    add("--epochs", type=positive(int), help="passes over the data (30 of digits, 10 of others)")
    add("--batch-size", type=positive(int), metavar="N", help="samples per step (32)")
    add("--lr", type=positive(float), help="learning rate of Adam (0.001)")
    add("--seed", type=int, help="the same seed gives the same bits (0)")
    add("--validation", type=fraction, metavar="FRACTION", help="held out for validation (0.1)")
    add("--runs", type=Path, metavar="FOLDER", help="where the folders of runs are (runs)")
    add("--save-every", type=positive(int), metavar="N", help="also save after every N batches")
    add(
        "--resume",
        nargs="?",
        type=Path,
        const=None,
        metavar="RUN",
        help="continue this run, or the latest one of this network and data if there is one",
    )
    add("--json", action="store_true", help="print the result as JSON on the last line")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, test, and report the result."""
    started = time.perf_counter()
    quiet = "json" in options
    given = {name: value for name, value in vars(options).items() if name in _SETTINGS}
    current = _resumed(options, given) if "resume" in options else None
    settings = current.settings if current else {**_DEFAULTS, **given}
    kernel.prepare(KERNELS[settings["model"]])
    load, epochs = DATA[settings["data"]]
    train, test = load()
    if current is None:
        settings = {"minidl": __version__, **settings, "shape": list(train.tensors[0].shape[1:])}
        settings.setdefault("epochs", epochs)
        current = runs.begin(getattr(options, "runs", Path("runs")), settings)
    if sys.stdout.isatty() and not quiet:
        nn.summary(network(settings["model"], settings["shape"]), (1, *settings["shape"]))
    trainer, samples = _fit(current, train)
    if current.best.exists():
        runs.load_weights(current.best, trainer.model)
    accuracy = trainer.evaluate(test, 512)["accuracy"]
    seconds = time.perf_counter() - started
    checkpoint = current.best if current.best.exists() else current.last
    result = {
        "test_accuracy": accuracy,
        "seconds": round(seconds, 3),
        "checkpoint": str(checkpoint),
        "run": str(current.folder),
    }
    current.write("result.json", result)
    _draw(trainer.history, current.folder / "curves.png")
    passes = f"{settings['epochs']} epochs" if settings["epochs"] > 1 else "1 epoch"
    loss = trainer.history[-1]["loss"]
    print(f"trained on {samples} images for {passes}: loss {loss:.4f}")
    print(f"test accuracy {accuracy:.2%} on {len(test)} others, in {seconds:.1f} s")
    print(f"everything is in {current.folder}; the best network in {checkpoint}")
    if quiet:
        print(json.dumps(result))
    return 0


_SETTINGS = ("model", "epochs", *_DEFAULTS)


def _resumed(options: argparse.Namespace, given: dict[str, Any]) -> runs.Run | None:
    """The run to resume, with a new number of epochs if given; nothing else may change."""
    root, data = getattr(options, "runs", Path("runs")), given.get("data", _DEFAULTS["data"])
    if options.resume is None:
        current = runs.latest(root, options.model, data)
        if current is None:
            print(f"no run of {options.model} on {data} in {root}: a new one", file=sys.stderr)
            return None
    else:
        current = runs.read(options.resume)
    for name, value in given.items():
        if name != "epochs" and current.settings.get(name, value) != value:
            option = name.replace("_", "-")
            raise ArgumentError(
                f"{current.folder} has {option} {current.settings[name]!r}, not {value!r}: a run "
                "goes on as it began; only --epochs may be larger"
            )
    if "epochs" in given and given["epochs"] != current.settings["epochs"]:
        current = runs.Run(current.folder, {**current.settings, "epochs": given["epochs"]})
        current.write("settings.json", current.settings)
    return current


def _fit(current: runs.Run, train: Any) -> tuple[Trainer, int]:
    """Train for the epochs that are left; return the trainer and the number of samples."""
    settings = current.settings
    manual_seed(settings["seed"])
    model = network(settings["model"], settings["shape"])
    held_out = settings["validation"]
    parts = random_split(train, [1 - held_out, held_out], Generator(settings["seed"]))
    validation = DataLoader(parts[1], 512) if len(parts[1]) else None
    every = settings["save_every"] or "epoch"
    callbacks = [
        Progress(quiet=not sys.stderr.isatty()),
        HistoryWriter(current.folder / "history.jsonl"),
        Checkpoint(current.folder, every=every),
    ]
    optimizer = Adam(model.parameters(), lr=settings["lr"])
    trainer = Trainer(model, optimizer, "cross_entropy", ["accuracy"], callbacks)
    if current.last.exists():
        trainer.resume(current.last)
    batches = DataLoader(parts[0], settings["batch_size"], shuffle=True)
    try:
        trainer.fit(batches, settings["epochs"], validation_data=validation)
    except KeyboardInterrupt:
        folder = current.folder
        raise KeyboardInterrupt(
            f"to go on: minidl train {settings['model']} --resume {folder}"
        ) from None
    return trainer, len(parts[0])


def _draw(history: Any, path: Path) -> None:
    """Plot the learning curves, if matplotlib is installed."""
    if find_spec("matplotlib") and len(history):
        numbers = [number + 1 for number in history.epoch]
        learning_curves({"epoch": numbers, **history.history}, path)
