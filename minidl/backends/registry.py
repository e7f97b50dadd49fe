"""Which backends there are.  The type of an array chooses its backend, here and nowhere else."""

from importlib import import_module, util
from types import ModuleType
from typing import Any

from minidl.errors import DeviceError

# Devices that live in a package of their own, imported when they are first asked for.
_PACKAGES = {"cuda": "minidl_cuda"}

by_type: dict[type, ModuleType | Any] = {}
_by_name: dict[str, ModuleType | Any] = {}


def register(backend: ModuleType | Any) -> None:
    """Make a backend known by its name and its array type."""
    by_type[backend.Array] = _by_name[backend.name] = backend


def backend_of(array: Any) -> ModuleType | Any | None:
    """The backend of an array; None for what is no array of any backend."""
    found = by_type.get(type(array))
    if found is None:  # a subclass, such as numpy.memmap, or a scalar for a 0-d result
        known = by_type.values()
        found = next((b for b in known if isinstance(array, (b.Array, b.Scalar))), None)
    return found


def device_backend(device: str) -> ModuleType | Any:
    """The backend of a device by its name."""
    package = _PACKAGES.get(device)
    if device not in _by_name and package and util.find_spec(package):
        register(import_module(package))
    if device not in _by_name:
        mend = f"; it comes with the package {package}" if package else ""
        known = ", ".join(map(repr, _by_name))
        raise DeviceError(f"no device {device!r}{mend}; this installation has {known}")
    return _by_name[device]


def to_device(array: Any, device: str) -> Any:
    """A copy of an array on another device."""
    return device_backend(device).asarray(backend_of(array).to_numpy(array))
