"""What can go wrong: PTX that is not understood, and faults of a kernel that ran."""

from dataclasses import dataclass


class PtxError(Exception):
    """Everything that the executor raises."""


class NotUnderstood(PtxError):  # noqa: N818 - it says what happened
    """PTX with an opcode, modifier, type or directive that the executor does not know."""


class LaunchError(PtxError):
    """A launch that CUDA would refuse: too many threads or bytes, or wrong arguments."""


@dataclass
class Place:
    """Where a fault happened: kernel, block, thread, and the line of PTX and of CUDA C++."""

    kernel: str
    block: tuple[int, int, int]
    thread: tuple[int, int, int]
    line: int
    source: str

    def __str__(self) -> str:
        where = f"kernel {self.kernel}, block {self.block}, thread {self.thread}"
        where += f", PTX line {self.line}" if self.line else ""
        return where + (f" ({self.source})" if self.source else "")


class Fault(PtxError):  # noqa: N818 - it says what happened
    """A kernel did what no kernel may; `kind` is one of KINDS, `place` says where."""

    KINDS = ("bounds", "alignment", "uninitialised", "race", "barrier", "warp", "trap", "copy")

    def __init__(self, kind: str, message: str, place: Place) -> None:
        super().__init__(f"{message}: {place}")
        self.kind, self.place = kind, place
