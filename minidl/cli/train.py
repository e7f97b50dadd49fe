"""minidl train: train a network on real data, and test it."""

import argparse
import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minidl import __version__, nn
from minidl.backends.kernels.runtime import kernel
from minidl.cli import recommenders, runs
from minidl.cli.argument_types import add_device, fraction, positive
from minidl.cli.tasks import NETWORKS, TASKS, Task
from minidl.errors import ArgumentError
from minidl.ops.random import manual_seed
from minidl.train import Checkpoint, HistoryWriter, Progress, Trainer, learning_curves


def add_to(commands: Any) -> None:
    """Add the command and its arguments; those not given are absent from the namespace."""
    parser = commands.add_parser(
        "train",
        help="train a network on real data and test it",
        description="Train a network on real data, and test it on what it has not seen. A part of "
        "the training data may be held out for validation; the network of the epoch that did best "
        "there is tested. Each run creates a folder with its settings, history, learning curves "
        "and checkpoints.",
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    about = "; ".join(f"{name}: {text}" for name, text in NETWORKS.items())
    about += "; recommender: what users may like next (`minidl.recommend`)"
    add("model", choices=[*NETWORKS, recommenders.NAME], help=about)
    add(
        "--data",
        metavar="NAME",
        help="of images: digits (default) come with minidl, others are downloaded: mnist, "
        "fashion-mnist; of texts: movie-snippets for sentiment, moby-dick for charlm; of ratings: "
        f"{', '.join(recommenders.DATA)}, or a file of users, items, ratings and times",
    )
    add(
        "--model",
        dest="recommender",
        choices=list(recommenders.MODELS),
        metavar="NAME",
        help=f"which recommender: {', '.join(recommenders.MODELS)} ({recommenders.DEFAULT})",
    )
    add(
        "--epochs",
        type=positive(int),
        help="passes over the data (30 of digits, 10 of other images, 8 of sentiment, 3 of "
        "charlm, 12 with --full)",
    )
    add(
        "--batch-size",
        type=positive(int),
        metavar="N",
        help="samples per step (32; 64 of sentiment)",
    )
    add(
        "--lr",
        type=positive(float),
        help="learning rate of Adam (0.001 of images, 0.002 of sentiment, 0.01 of charlm, 0.005 "
        "with --full)",
    )
    add("--seed", type=int, help="the same seed gives the same bits (0)")
    add(
        "--validation",
        type=fraction,
        metavar="FRACTION",
        help="held out for validation (0.1 of images, 0 of texts, 0.05 with --full)",
    )
    add("--full", action="store_true", help="of charlm, train a larger network for longer")
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
    add_device(parser)
    add(
        "--mixed-precision",
        action="store_true",
        help="compute products in float16, many times faster on a GPU, and scale gradients; on a "
        "CPU the results are alike, and slower (weights stay float32)",
    )
    add("--json", action="store_true", help="print the result as JSON on the last line")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, test, and report the result."""
    if options.model == recommenders.NAME:
        return recommenders.train(options)
    started = time.perf_counter()
    quiet = "json" in options
    given = _given(options)
    current = _resumed(options, given) if "resume" in options else None
    if current is None:
        kind = TASKS[options.model]
        settings = {"minidl": __version__, "model": options.model, **kind.defaults(given), **given}
    else:
        kind, settings = current.task, current.settings
    kernel.prepare(kind.kernels(settings["model"]))
    task = kind(settings)
    determined = task.load(current.folder if current else None)
    if current is None:
        settings.update(determined)
        current = runs.begin(getattr(options, "runs", Path("runs")), settings, task.keep)
    if sys.stdout.isatty() and not quiet:
        nn.summary(task.network(), *task.example())
    trainer = _fit(current, task)
    _report(current, task, trainer, started, quiet)
    return 0


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were chosen; ArgumentError for those that this network has not."""
    kind = TASKS[options.model]
    if getattr(options, "data", None) not in (None, *kind.DATA):
        raise ArgumentError(f"{options.model} is trained on {', '.join(kind.DATA)}")
    others = {"run", "command", "runs", "resume", "json", "device"}
    given = {name: value for name, value in vars(options).items() if name not in others}
    known = ["model", *kind.defaults(given)]
    for name in given:
        if name not in known:
            option = "model" if name == "recommender" else name.replace("_", "-")
            raise ArgumentError(f"{options.model} has no --{option}")
    return given


def _resumed(options: argparse.Namespace, given: dict[str, Any]) -> runs.Run | None:
    """The run to resume, with a new number of epochs if given; nothing else may change."""
    root = getattr(options, "runs", Path("runs"))
    if options.resume is None:
        data = TASKS[options.model].defaults(given)["data"]
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


def _fit(current: runs.Run, task: Task) -> Trainer:
    """Train for the epochs that are left; return the trainer, with the best weights."""
    settings = current.settings
    manual_seed(settings["seed"])
    model = task.network()
    train, validation = task.batches()
    callbacks = [
        Progress(quiet=not sys.stderr.isatty()),
        HistoryWriter(current.folder / "history.jsonl"),
        Checkpoint(current.folder, every=settings["save_every"] or "epoch"),
    ]
    trainer = task.trainer(model, len(train) * settings["epochs"], callbacks)
    if current.last.exists():
        trainer.resume(current.last)
    try:
        trainer.fit(train, settings["epochs"], validation_data=validation)
    except KeyboardInterrupt:
        folder = current.folder
        raise KeyboardInterrupt(
            f"to go on: minidl train {settings['model']} --resume {folder}"
        ) from None
    if current.best.exists():
        runs.load_weights(current.best, trainer.model)
    return trainer


def _report(current: runs.Run, task: Task, trainer: Trainer, started: float, quiet: bool) -> None:
    """Test, write the result and the learning curves, and print both."""
    settings, score = current.settings, task.test(trainer)
    seconds = time.perf_counter() - started
    checkpoint = current.best if current.best.exists() else current.last
    result = {
        task.SCORE: score,
        "seconds": round(seconds, 3),
        "checkpoint": str(checkpoint),
        "run": str(current.folder),
    }
    current.write("result.json", result)
    _draw(trainer.history, current.folder / "curves.png")
    passes = f"{settings['epochs']} epochs" if settings["epochs"] > 1 else "1 epoch"
    loss = trainer.history[-1]["loss"]
    trained_on, tested_on = task.counts()
    print(f"trained on {trained_on} {task.SAMPLES} for {passes}: loss {loss:.4f}")
    print(f"{task.in_words(score)} on {tested_on} others, in {seconds:.1f} s")
    if afterword := task.afterword(trainer.model):
        print(afterword)
    print(f"everything is in {current.folder}; the best network in {checkpoint}")
    if quiet:
        print(json.dumps(result))


def _draw(history: Any, path: Path) -> None:
    """Plot the learning curves, if matplotlib is installed."""
    if find_spec("matplotlib") and len(history):
        numbers = [number + 1 for number in history.epoch]
        learning_curves({"epoch": numbers, **history.history}, path)
