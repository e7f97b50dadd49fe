"""What happened on the device: launches by kernel, transfers, synchronisations."""

import sys
from collections import Counter
from typing import NamedTuple


class Differs(RuntimeError):  # noqa: N818 - it says what it is
    """Here a real GPU would silently do something else than NumPy does."""


class Event(NamedTuple):
    """Something that was counted; the call sites have the innermost first."""

    kind: str  # "launch", "h2d", "d2h", "sync"
    what: str
    sites: tuple[str, ...]


class Counters:
    """Counts of launches, transfers (h2d, d2h, between GPUs: peer) and synchronisations.

    While `trace` is set, `events` gets each of them with the lines of Python that led to it.
    """

    def __init__(self) -> None:
        self.trace = False
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.launches: Counter[str] = Counter()
        self.h2d = self.d2h = self.peer = self.sync = 0
        self.events: list[Event] = []

    def launch(self, what: str) -> None:
        """A kernel was launched: ours by its name, CuPy's by that of the function."""
        self.launches[what] += 1
        self._note("launch", what)

    def count(self, kind: str, what: str) -> None:
        """A transfer or a synchronisation."""
        setattr(self, kind, getattr(self, kind) + 1)
        self._note(kind, what)

    def _note(self, kind: str, what: str) -> None:
        if self.trace:
            self.events.append(Event(kind, what, _call_sites()))


def _call_sites() -> tuple[str, ...]:
    frame, sites = sys._getframe(3), []
    while frame is not None and len(sites) < 12:
        code = frame.f_code
        if "stand_in" not in code.co_filename:
            short = "/".join(code.co_filename.rsplit("/", 2)[-2:])
            sites.append(f"{short}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return tuple(sites)


counters = Counters()
