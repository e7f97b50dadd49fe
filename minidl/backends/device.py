"""Devices: their names, and the one on which new tensors are created."""

import os
import re
from contextvars import ContextVar
from typing import Any, Self

from minidl.errors import DeviceError, describe


class device(str):  # noqa: N801 - PyTorch's name
    """The name of a device: "cpu"; "cuda", the current GPU; "cuda:1", the second one.

    It is a text, so that `x.device == "cpu"` and `device="cuda:1"` are what they seem; `type` and
    `index` are its parts.  In a `with` block it is the default device.

    device         a name, or its type if `index` is given
    index          which of the devices of that type, from 0
    raises         DeviceError for what is no name; whether there is such a device is only found
                   out when it is used

    >>> gpu = minidl.device("cuda", 1)
    >>> gpu, gpu.type, gpu.index, minidl.device("cuda").index
    ('cuda:1', 'cuda', 1, None)
    >>> with minidl.device("cpu"):
    ...     minidl.zeros(2).device
    'cpu'
    """

    __slots__ = ()

    def __new__(cls, device: str, index: int | None = None) -> Self:  # noqa: D102
        name = device if index is None else f"{device}:{index}"
        if not isinstance(device, str) or not _NAME.fullmatch(name):
            given = describe(device) if index is None else f"{device!r:.40} and {index!r:.40}"
            raise DeviceError(f'a device is named like "cpu", "cuda" or "cuda:1"; got {given}')
        return super().__new__(cls, name)

    @property
    def type(self) -> str:
        """The kind of device, without the index: "cpu", "cuda"."""
        return self.partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """Which of them; None for the current one."""
        number = self.partition(":")[2]
        return int(number) if number else None

    def __enter__(self) -> Self:
        _blocks.set((*_blocks.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        _blocks.set(_blocks.get()[:-1])

    @classmethod
    def of_index(cls, kind: str, which: Any, name: str) -> Self:
        """The device of a kind from its index or name; None: the current one of that kind."""
        if isinstance(which, int) and not isinstance(which, bool):
            return cls(kind, which)
        found = cls(kind if which is None else which)
        if found.type != kind:
            raise DeviceError(f"{name}: needs an index, or a name like '{kind}:1'; got {which!r}")
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (str(self),)


_NAME = re.compile(r"[a-z][a-z_]*(:(0|[1-9][0-9]{0,3}))?")

# The default device is that of the innermost `with` block of this thread, else of the process.
_blocks: ContextVar[tuple[device, ...]] = ContextVar("minidl default device", default=())
_of_process: device | None = None


def default_device() -> device:
    """The name of the default device as it was given: "cuda" stays the current one."""
    blocks = _blocks.get()
    return blocks[-1] if blocks else _of_process or _of_environment()


def set_default(name: device | None) -> None:
    """Set the default device of the process; None returns to that of the environment."""
    global _of_process
    _of_process = name


def _of_environment() -> device:
    """MINIDL_DEVICE, read once; "cpu" if it is not set."""
    try:
        set_default(device(os.environ.get("MINIDL_DEVICE") or "cpu"))
    except DeviceError as error:
        raise DeviceError(f"MINIDL_DEVICE in the environment: {error}") from None
    return default_device()
