"""The command `minidl`."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from minidl import nn
from minidl.data import DataError, DataLoader, digits, fashion_mnist, mnist
from minidl.models import CNN, MLP
from minidl.ops.random import manual_seed
from minidl.optim import Adam
from minidl.train import accuracy, train_epoch

# Where pictures come from, and how often to go through them if nothing else is asked for.
_DATA = {"digits": (digits, 30), "mnist": (mnist, 10), "fashion-mnist": (fashion_mnist, 10)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="minidl", description="Train small networks.")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser(
        "train",
        help="train a network on real data and test it",
        description="Train a network to tell pictures of ten kinds, and test it on others.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    train.add_argument(
        "model",
        choices=["mlp", "cnn"],
        help="mlp: fully connected, 128-64-10; cnn: convolutional, 32-64-128-10",
    )
    train.add_argument(
        "--data",
        choices=list(_DATA),
        default="digits",
        help="digits come with minidl, the others are fetched",
    )
    train.add_argument(
        "--epochs",
        type=_positive(int),
        default=argparse.SUPPRESS,
        help="passes over the data (default: 30 of digits, 10 of others)",
    )
    train.add_argument("--batch-size", type=_positive(int), default=32, help="samples in a step")
    train.add_argument("--lr", type=_positive(float), default=1e-3, help="learning rate of Adam")
    train.add_argument("--seed", type=int, default=0, help="same seed, same result, to the bit")
    train.add_argument("--json", action="store_true", help="end with one line of JSON")
    try:
        return _train(parser.parse_args(arguments))
    except DataError as error:
        print(f"minidl: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _train(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    manual_seed(options.seed)
    load, epochs = _DATA[options.data]
    epochs = getattr(options, "epochs", epochs)
    train, test = load()
    batches = DataLoader(train, options.batch_size, shuffle=True)
    model = _model(options.model, *train.tensors[0].shape[1:])
    if sys.stdout.isatty() and not options.json:
        nn.summary(model, (1, *train.tensors[0].shape[1:]))
    optimizer = Adam(model.parameters(), lr=options.lr)
    with _progress(epochs * len(batches)) as on_step:
        for _ in range(epochs):
            loss = train_epoch(model, optimizer, batches, on_step)
    correct = accuracy(model, DataLoader(test, 512))
    seconds = time.perf_counter() - started
    passes = f"{epochs} epochs" if epochs > 1 else "1 epoch"
    print(f"trained on {len(train)} pictures for {passes}: loss {loss:.4f}")
    print(f"test accuracy {correct:.2%} on {len(test)} others, in {seconds:.1f} s")
    if options.json:
        print(json.dumps({"test_accuracy": correct, "seconds": round(seconds, 3)}))
    return 0


def _model(name: str, channels: int, height: int, width: int) -> nn.Module:
    """A fresh network for pictures of this shape."""
    if name == "cnn":
        return CNN(channels, (height, width))
    return MLP(inputs=channels * height * width)


@contextmanager
def _progress(steps: int) -> Iterator[Any]:
    """A bar on the terminal's error stream, moved on by each call with a loss."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = "training", BarColumn(), MofNCompleteColumn(), "loss {task.fields[loss]:.4f}"
    console = Console(stderr=True)
    with Progress(*columns, TimeLeft(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=steps, loss=float("nan"))
        yield lambda loss: bar.update(task, advance=1, loss=loss)


def _positive(kind: type) -> Any:
    """An argument type that refuses 0 and less."""

    def parse(text: str) -> Any:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be a number above 0; got {text}")
        return value

    parse.__name__ = kind.__name__
    return parse
