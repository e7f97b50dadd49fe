"""Progress: a progress bar and a line per epoch, on the terminal."""

import sys
import time
from typing import Any

from minidl.train.callbacks import Callback

_INTERVAL = 0.1  # seconds between two redraws of the bar


class Progress(Callback):
    """A progress bar for the current epoch, and a line for each completed one.

        Epoch 3/10  loss 0.1234  accuracy 0.9567  val_loss 0.1456  1.2 s  48213 samples/s

    It is written to stderr.  If that is not a terminal, there is no bar, and with quiet=True no
    lines either.  The bar is redrawn at most ten times a second; otherwise a batch costs one
    reading of the clock.

    >>> from minidl.train import Progress, Trainer
    >>> x = minidl.ones((8, 1))
    >>> trainer = Trainer(nn.Linear(1, 1), "sgd", "mse", callbacks=[Progress(quiet=True)])
    >>> len(trainer.fit((x, x), epochs=3))
    3
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._bar: Any = None
        self._console: Any = None

    def on_train_begin(self) -> None:
        """Use the terminal, if stderr is one."""
        self._console = None
        if sys.stderr.isatty():
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False)

    def on_epoch_begin(self, epoch: int) -> None:
        """Start the bar, advanced to the first batch of a resumed epoch."""
        self._started = self._drawn = time.monotonic()
        self._first = self.trainer.position.samples
        self._samples: float = 0
        if self._console is not None:
            self._bar = self._new_bar()
            data = self.trainer.data
            total = len(data) if hasattr(data, "__len__") else None
            done = self.trainer.batch
            self._task = self._bar.add_task(
                self._title(epoch), total=total, completed=done, text=""
            )
            self._bar.start()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """Redraw the bar, at most every 0.1 seconds."""
        now = time.monotonic()
        self._samples = self.trainer.position.samples
        if self._bar is None or now - self._drawn < _INTERVAL:
            return
        self._drawn = now
        rate = (self._samples - self._first) / max(now - self._started, 1e-9)
        text = f"{_line(self.trainer.logs())}  {rate:.0f} samples/s"
        self._bar.update(self._task, completed=batch + 1, text=text)
        self._bar.refresh()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Print the line of the epoch."""
        self.on_exit()
        seconds = time.monotonic() - self._started
        rate = (self._samples - self._first) / max(seconds, 1e-9)
        line = f"{self._title(epoch)}  {_line(logs)}  {seconds:.1f} s  {rate:.0f} samples/s"
        if self._console is not None:
            self._console.print(line, soft_wrap=True)
        elif not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def on_exit(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _title(self, epoch: int) -> str:
        return f"Epoch {epoch + 1}/{self.trainer.epochs}"

    def _new_bar(self) -> Any:
        from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = "{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        return Bar(
            *columns,
            "{task.fields[text]}",
            console=self._console,
            auto_refresh=False,
            transient=True,
        )


def _line(logs: dict[str, Any]) -> str:
    """The entries of the logs that are numbers."""
    numbers = {name: value for name, value in logs.items() if isinstance(value, int | float)}
    return "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
