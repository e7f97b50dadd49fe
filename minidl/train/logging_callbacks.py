"""Callbacks that write files: measurements, learning curves, statistics of the weights."""

import csv
import io as text
import json
import math
import os
from typing import Any

import numpy as np

from minidl.backends.rows import RowGradient
from minidl.errors import ArgumentError, path_of
from minidl.io.atomic_write import atomic_write
from minidl.optim.checks import check_count
from minidl.train.callbacks import Callback
from minidl.train.plots import learning_curves, picture_path


class HistoryWriter(Callback):
    """A line of measurements for each epoch, in the file at once.

    path    ends in .jsonl, an object in each line; or in .csv, a table with a header

    A run that begins writes the file anew.  One that is resumed keeps the epochs that are done, so
    that no line is there twice.

    >>> from minidl.train import HistoryWriter, Trainer
    >>> x = minidl.ones((8, 1))
    >>> trainer = Trainer(nn.Linear(1, 1), "sgd", "mse", callbacks=[HistoryWriter("run.csv")])
    >>> _ = trainer.fit((x, x), epochs=2)
    >>> with open("run.csv") as file:
    ...     [line.split(",")[0] for line in file]
    ['epoch', '0', '1']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path_of("HistoryWriter", path)
        if self.path.suffix not in (".jsonl", ".csv"):
            raise ArgumentError(
                f"HistoryWriter: a name ends in .jsonl or .csv; got {os.fspath(path)!r}"
            )

    def on_train_begin(self) -> None:
        """Write what the history has already."""
        history = self.trainer.history
        self._write(list(zip(history.epoch, history, strict=True)))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Add a line; a table whose columns do not suffice is written anew."""
        history = self.trainer.history
        if self.path.suffix == ".csv" and self._columns != ["epoch", *history.history]:
            self._write(list(zip(history.epoch, history, strict=True)))
        else:
            self._append(self._line(epoch, logs))

    def _write(self, epochs: list[tuple[int, dict[str, Any]]]) -> None:
        """The whole file."""
        self._columns = ["epoch", *self.trainer.history.history]
        header = _csv_line(self._columns) if self.path.suffix == ".csv" and epochs else ""
        content = header + "".join(self._line(epoch, logs) for epoch, logs in epochs)
        if not epochs:
            self._columns = []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as new:
            new.write_text(content, encoding="utf-8", newline="")

    def _append(self, line: str) -> None:
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            file.write(line)

    def _line(self, epoch: int, logs: dict[str, Any]) -> str:
        values = {name: _plain(value) for name, value in logs.items()}
        if self.path.suffix == ".jsonl":
            return json.dumps({"epoch": epoch, **values}) + "\n"
        return _csv_line([epoch, *(values.get(name) for name in self._columns[1:])])


class LearningCurves(Callback):
    """A picture of the loss and the metrics over the epochs, drawn anew after each.

    path    its suffix says of what kind: .png, .svg, .pdf

    >>> from minidl.train import LearningCurves, Trainer
    >>> curves = LearningCurves("runs/curves.svg")  # drawn anew when an epoch is done
    >>> trainer = Trainer(nn.Linear(1, 1), "sgd", "mse", callbacks=[curves])
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = picture_path("LearningCurves", path)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Draw it."""
        history = self.trainer.history
        self.path.parent.mkdir(parents=True, exist_ok=True)
        numbers = [number + 1 for number in history.epoch]
        learning_curves({"epoch": numbers, **history.history}, self.path)


class TensorStatistics(Callback):
    """What gradients and weights are like: a line of JSON for each parameter, every few steps.

        {"step": 100, "epoch": 3, "name": "0.weight", "weight": {"mean": …, "std": …, "min": …,
         "max": …, "norm": …}, "gradient": {…}, "update_ratio": …}

    path     of the file; it is continued as `HistoryWriter` does
    every    steps from one to the next

    The weights are those before the step, the gradients as the optimiser sees them, and the update
    ratio is ‖change of the weights‖ / ‖weights‖: about 10⁻³ where learning goes well.

    >>> from minidl.train import TensorStatistics, Trainer
    >>> x = minidl.ones((8, 1))
    >>> watch = TensorStatistics("weights.jsonl", every=2)
    >>> _ = Trainer(nn.Linear(1, 1), "sgd", "mse", callbacks=[watch]).fit((x, x), batch_size=2)
    >>> with open("weights.jsonl") as file:  # four steps; the weight and the bias in steps 0 and 2
    ...     [line[:10] for line in file]
    ['{"step": 0', '{"step": 0', '{"step": 2', '{"step": 2']
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 100) -> None:
        check_count("TensorStatistics", {"every": every}, "every")
        self.path, self.every = path_of("TensorStatistics", path), every
        self._before: dict[str, np.ndarray] | None = None

    def on_train_begin(self) -> None:
        """Drop the lines of steps that are to be done again."""
        lines = []
        if self.trainer.resumed and self.path.exists():
            given = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line for line in given if line.endswith("\n")]
            lines = [line for line in whole if json.loads(line)["step"] < self.trainer.step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(lines), encoding="utf-8")

    def on_step_begin(self, step: int) -> None:
        """Keep the weights, if it is time."""
        self._before = None
        if not step % self.every:
            named = self.trainer.model.named_parameters()
            self._before = {name: p.numpy().copy() for name, p in named}

    def on_step_end(self, step: int) -> None:
        """Write a line for each parameter."""
        if self._before is None:
            return
        lines = []
        for name, p in self.trainer.model.named_parameters():
            before, gradient = self._before[name], p.grad if p.requires_grad else None
            if isinstance(gradient, RowGradient):
                gradient = gradient.backend.to_numpy(gradient.dense())
            norm, change = _norm(before), _norm(p.numpy().astype(np.float64) - before)
            line = {
                "step": step,
                "epoch": self.trainer.epoch,
                "name": name,
                "weight": _statistics(before),
                "gradient": None if gradient is None else _statistics(np.asarray(gradient)),
                "update_ratio": change / norm if norm else (math.inf if change else 0.0),
            }
            lines.append(json.dumps(line) + "\n")
        self._before = None
        with open(self.path, "a", encoding="utf-8") as file:
            file.writelines(lines)


def _statistics(x: np.ndarray) -> dict[str, float]:
    """A few numbers about many."""
    x = x.astype(np.float64)
    if not x.size:
        return dict.fromkeys(("mean", "std", "min", "max", "norm"), 0.0)
    numbers = {"mean": x.mean(), "std": x.std(), "min": x.min(), "max": x.max(), "norm": _norm(x)}
    return {name: float(number) for name, number in numbers.items()}


def _norm(x: np.ndarray) -> float:
    return float(np.linalg.norm(x.astype(np.float64).ravel()))


def _plain(value: Any) -> Any:
    """A measurement as JSON has it."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value


def _csv_line(values: list[Any]) -> str:
    line = text.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
