"""The inspection API of the array API standard."""

from typing import Any

import numpy as np

from minidl import dtypes
from minidl.backends import by_type, device_backend
from minidl.backends.device import default_device
from minidl.backends.registry import get_default_device
from minidl.ops.dtype_functions import isdtype

_NAMES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64", "complex64", "complex128"),
)


class Info:
    """Capabilities and defaults, by device."""

    def capabilities(self) -> dict[str, Any]:
        """Whether boolean indexing and data-dependent shapes work, and the number of axes."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The device of new tensors, unless `device` specifies another."""
        return get_default_device()

    def default_dtypes(self, *, device: str | None = None) -> dict[str, np.dtype]:
        """The dtypes of Python scalars."""
        device_backend(device or default_device())
        return {
            "real floating": dtypes.default_float,
            "complex floating": dtypes.complex64,
            "integral": dtypes.int64,
            "indexing": dtypes.int64,
        }

    def devices(self) -> list[str]:
        """The devices in use."""
        return [device for backend in by_type.values() for device in backend.devices()]

    def dtypes(self, *, device: str | None = None, kind: Any = None) -> dict[str, np.dtype]:
        """The dtypes of the standard by name; of one kind or several, as in isdtype."""
        device_backend(device or default_device())
        every = {name: dtypes.dtype_of(name) for name in _NAMES}
        return {name: dt for name, dt in every.items() if kind is None or isdtype(dt, kind)}


def __array_namespace_info__() -> Info:  # noqa: N807
    """The capabilities, devices and dtypes of minidl."""
    return Info()
