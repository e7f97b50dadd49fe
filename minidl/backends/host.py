"""The CPU as a device: there is one, and its work is done when a function returns."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.backends.device import device

_DEVICE = device("cpu")


def devices() -> list[device]:
    """The CPU."""
    return [_DEVICE]


def device_of(x: np.ndarray) -> device:
    """The CPU."""
    return _DEVICE


def current_device() -> device:
    """The CPU."""
    return _DEVICE


def set_device(device: str) -> None:
    """Do nothing."""


def synchronize(device: str) -> None:
    """Do nothing: nothing is deferred."""


def memory(device: str) -> dict[str, int]:
    """The bytes of the machine's memory; arrays are not counted."""
    if not hasattr(os, "sysconf"):
        return {}
    page = os.sysconf("SC_PAGE_SIZE")
    return {
        "free": page * os.sysconf("SC_AVPHYS_PAGES"),
        "total": page * os.sysconf("SC_PHYS_PAGES"),
    }


def reset_peak_memory(device: str) -> None:
    """Do nothing: no peak is recorded."""


def check(valid: np.ndarray, error: Callable[[], Exception]) -> None:
    """Raise the error unless all are true."""
    if not valid.all():
        raise error()


def check_index(index: Any, shape: Sequence[int]) -> Any:
    """The index: NumPy checks it when it is used."""
    return index


def location(x: np.ndarray) -> Any:
    """The address, the strides, and what else tells arrays apart."""
    return x.__array_interface__


def imported(x: Any, copy: bool | None = None) -> np.ndarray:
    """The memory of another library's array, through DLPack; with copy=False, never a copy of it.

    raises    BufferError, RuntimeError for what its library does not give, or NumPy does not take
    """
    if copy is False:
        try:
            return np.from_dlpack(x, copy=False)
        except TypeError:
            pass  # an older protocol, without `copy`: nothing was ever copied
    return np.from_dlpack(x)


def pinned(x: np.ndarray) -> np.ndarray:
    """The array itself."""
    return x


def upload(arrays: Sequence[np.ndarray], device: str) -> Callable[[], Sequence[np.ndarray]]:
    """The arrays themselves."""
    return lambda: arrays
