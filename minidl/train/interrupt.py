"""Deferred Ctrl-C: the interrupt is raised between two batches, not in the middle of one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether Ctrl-C was pressed; pressed twice, it interrupts immediately."""

    def __init__(self) -> None:
        self.pressed = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.pressed:
            self.pressed = False
            raise KeyboardInterrupt

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A block in which Ctrl-C takes effect at the next `check`.

        Where another SIGINT handler is installed, and outside the main thread, nothing changes.
        """
        self.pressed = False
        default = signal.default_int_handler
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGINT) is not default:
            yield
            return
        try:  # before the handler is there: an interrupt may come right after that
            signal.signal(signal.SIGINT, self._ask)
            yield
        finally:
            signal.signal(signal.SIGINT, default)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:
            signal.default_int_handler(number, frame)
        self.pressed = True
