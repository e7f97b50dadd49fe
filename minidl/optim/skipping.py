"""Steps that the device skips: whether a gradient was infinite is known there, and not yet here.

The kernels of update rules look at the flag themselves.  The host, which has counted the step,
begins to copy the flag, and reads the copy before it needs the count again.
"""

from collections.abc import Callable
from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, device_of
from minidl.backends.registry import on_device_of
from minidl.optim.bucket import State


class Skip:
    """Whether the step that is taken now is skipped.

    flag    a number on a device: anything but 0 skips the step
    """

    def __init__(self, flag: Any) -> None:
        self._flag = flag
        self._known: bool | None = None
        self._read: Callable[[], float] | None = None
        self._counted: list[State] = []

    def holds(self) -> bool:
        """Whether it is skipped; waits for the device."""
        if self._known is None:
            self._known = self._read() != 0 if self._read else Tensor(self._flag).item() != 0
        return self._known

    def is_left_to(self, fused: Any, like: Any) -> bool:
        """Whether the kernel of a rule looks at the flag by itself."""
        xp: Any = backend_of(like)
        if self._known is not None or not hasattr(fused, "skip_if") or not xp.kernel("read_later"):
            return False
        device = device_of(like)
        here = device_of(self._flag)
        fused.skip_if(self._flag if device == here else xp.to_device(self._flag, device))
        return True

    def counted(self, states: list[State]) -> None:
        """These have counted a step, before it is known whether it was taken."""
        if self._known is not None:
            return
        if self._read is None:
            with on_device_of(self._flag):
                self._read = backend_of(self._flag).kernel("read_later")(self._flag)
        self._counted += states

    def settle(self) -> None:
        """Correct the counts."""
        if self._counted and self.holds():
            for own in self._counted:
                own["step"] -= 1
        self._counted = []


class Skipping:
    """What an optimiser does with steps that may be skipped."""

    _skip: Skip | None = None  # whether the step that is taken now is skipped
    _unsettled: Skip | None = None  # the same of the last step, until it is known
    step: Callable[[], Any]

    def step_unless(self, flag: Any) -> None:
        """Step, unless a number on a device is not 0: an array without axes, as of a GradScaler.

        Rules with a kernel do not wait for it.
        """
        self._settle()
        skip = Skip(flag)
        if device_of(flag) == "cpu" and skip.holds():
            return
        self._skip = skip
        try:
            self.step()
        finally:
            self._skip, self._unsettled = None, skip

    def _settle(self) -> None:
        """Take back the count of a step that was skipped."""
        skip, self._unsettled = self._unsettled, None
        if skip is not None:
            skip.settle()


def is_skipped(skip: Skip, fused: Any, like: Any, whole: bool) -> bool:
    """Whether a step is known to be skipped; False also where the kernel will see.

    whole    whether the kernel updates all of the parameters
    """
    if fused is not None and whole and skip.is_left_to(fused, like):
        return False
    return skip.holds()
