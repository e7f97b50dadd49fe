"""Logging callbacks: the history, learning curves and weight statistics as files."""

import csv
import io as text
import json
import math
import os
from typing import Any

import numpy as np

from minidl.backends.rows import RowGradient
from minidl.checks import check_integers
from minidl.errors import ArgumentError, path_of
from minidl.io.atomic_write import atomic_write
from minidl.train.callbacks import Callback
from minidl.train.plots import learning_curves, plot_path


class HistoryWriter(Callback):
    """Log the loss and the metrics of each epoch to a file, one line per epoch.

    path    ends in .jsonl, for JSON Lines, or in .csv, for a table with a header

    A new run overwrites the file.  A resumed run keeps the completed epochs, so that no line is
    duplicated.

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
        """Write the epochs that are already in the history."""
        history = self.trainer.history
        self._write(list(zip(history.epoch, history, strict=True)))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Append a line; a table that needs new columns is rewritten."""
        history = self.trainer.history
        if self.path.suffix == ".csv" and self._columns != ["epoch", *history.history]:
            self._write(list(zip(history.epoch, history, strict=True)))
        else:
            self._append(self._line(epoch, logs))

    def _write(self, epochs: list[tuple[int, dict[str, Any]]]) -> None:
        """Write the whole file."""
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
        values = {name: _jsonable(value) for name, value in logs.items()}
        if self.path.suffix == ".jsonl":
            return json.dumps({"epoch": epoch, **values}) + "\n"
        return _csv_line([epoch, *(values.get(name) for name in self._columns[1:])])


class LearningCurves(Callback):
    """Plot the loss and the metrics over the epochs, updated after each.

    path    ends in .png, .svg or .pdf

    >>> from minidl.train import LearningCurves, Trainer
    >>> curves = LearningCurves("runs/curves.svg")  # updated after each epoch
    >>> trainer = Trainer(nn.Linear(1, 1), "sgd", "mse", callbacks=[curves])
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = plot_path("LearningCurves", path)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Redraw the plot."""
        history = self.trainer.history
        self.path.parent.mkdir(parents=True, exist_ok=True)
        numbers = [number + 1 for number in history.epoch]
        learning_curves({"epoch": numbers, **history.history}, self.path)


class TensorStatistics(Callback):
    """Log statistics of weights and gradients: a line of JSON per parameter, every n-th step.

        {"step": 100, "epoch": 3, "name": "0.weight", "weight": {"mean": …, "std": …, "min": …,
         "max": …, "norm": …}, "gradient": {…}, "update_ratio": …}

    path     the file; a resumed run continues it, as with `HistoryWriter`
    every    log every n-th step

    The weights are those before the step, the gradients those that the optimiser uses, and the
    update ratio is ‖update‖ / ‖weights‖: about 10⁻³ when learning goes well.  Numbers that are
    infinite or NaN, as in steps that mixed precision skips, are null.

    >>> from minidl.train import TensorStatistics, Trainer
    >>> x = minidl.ones((8, 1))
    >>> watch = TensorStatistics("weights.jsonl", every=2)
    >>> _ = Trainer(nn.Linear(1, 1), "sgd", "mse", callbacks=[watch]).fit((x, x), batch_size=2)
    >>> with open("weights.jsonl") as file:  # four steps; the weight and the bias in steps 0 and 2
    ...     [line[:10] for line in file]
    ['{"step": 0', '{"step": 0', '{"step": 2', '{"step": 2']
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 100) -> None:
        check_integers("TensorStatistics", 1, every=every)
        self.path, self.every = path_of("TensorStatistics", path), every
        self._before: dict[str, np.ndarray] | None = None

    def on_train_begin(self) -> None:
        """Remove the lines of steps that will be repeated."""
        lines = []
        if self.trainer.resumed and self.path.exists():
            logged = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            complete = [line for line in logged if line.endswith("\n")]
            lines = [line for line in complete if json.loads(line)["step"] < self.trainer.step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(lines), encoding="utf-8")

    def on_step_begin(self, step: int) -> None:
        """Copy the weights before every n-th step."""
        self._before = None
        if not step % self.every:
            named = self.trainer.model.named_parameters()
            self._before = {name: p.numpy().copy() for name, p in named}

    def on_step_end(self, step: int) -> None:
        """Write a line per parameter."""
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


def _statistics(x: np.ndarray) -> dict[str, float | None]:
    """Summary statistics of an array; None where they are infinite or NaN, which JSON has not."""
    x = x.astype(np.float64)
    if not x.size:
        return dict.fromkeys(("mean", "std", "min", "max", "norm"), 0.0)
    with np.errstate(all="ignore"):  # gradients of a step that mixed precision skips
        values = {"mean": x.mean(), "std": x.std(), "min": x.min(), "max": x.max()}
    values["norm"] = _norm(x)
    return {name: float(v) if np.isfinite(v) else None for name, v in values.items()}


def _norm(x: np.ndarray) -> float:
    return float(np.linalg.norm(x.astype(np.float64).ravel()))


def _jsonable(value: Any) -> Any:
    """A value that JSON can represent: arrays as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value


def _csv_line(values: list[Any]) -> str:
    line = text.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
