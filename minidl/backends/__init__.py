"""The backends: where arrays live, and the functions that compute on them there.

The type of an array chooses its backend, here and nowhere else.
"""

from importlib import import_module, util
from types import ModuleType
from typing import Any

from minidl.backends import cpu
from minidl.errors import DeviceError

__all__ = ["backend_of", "by_type", "device_backend", "register"]

# A device that lives in a package of its own, imported when it is first asked for.
_PACKAGES = {"cuda": "minidl_cuda"}

by_type: dict[type, ModuleType | Any] = {}
_by_name: dict[str, ModuleType | Any] = {}


def register(backend: ModuleType | Any) -> None:
    """Make a backend known by its name and its array type."""
    by_type[backend.Array] = _by_name[backend.name] = backend


def backend_of(array: Any) -> ModuleType | Any | None:
    """The backend of an array by its type; None for what is no array of any backend."""
    found = by_type.get(type(array))
    if found is None:  # a subclass, such as numpy.memmap, or a scalar for a 0-d result
        known = by_type.values()
        found = next((b for b in known if isinstance(array, (b.Array, b.Scalar))), None)
    return found


def device_backend(device: str) -> ModuleType | Any:
    """The backend of a device by its name."""
    if device not in _by_name and device in _PACKAGES and util.find_spec(_PACKAGES[device]):
        register(import_module(_PACKAGES[device]))
    if device not in _by_name:
        known = ", ".join(map(repr, _by_name))
        raise DeviceError(f"no device {device!r}; this installation has {known}")
    return _by_name[device]


register(cpu)
