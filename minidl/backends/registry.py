"""The registry of backends: the type of an array determines its backend, here and nowhere else."""

from importlib import import_module, util
from typing import Any

from minidl.errors import DeviceError

# Devices whose backend is a separate package, imported when first requested.
_PACKAGES = {"cuda": "minidl_cuda"}

# A backend is a namespace, a module or any object with the attributes of the contract.
by_type: dict[type, Any] = {}
_by_name: dict[str, Any] = {}


def register(backend: Any) -> None:
    """Register a backend under its name and its array type."""
    by_type[backend.Array] = _by_name[backend.name] = backend


def backend_of(array: Any) -> Any:
    """The backend of an array; None for any other value."""
    backend = by_type.get(type(array))
    if backend is None:  # a subclass, such as numpy.memmap, or a scalar as a 0-d result
        registered = by_type.values()
        backend = next((b for b in registered if isinstance(array, (b.Array, b.Scalar))), None)
    return backend


def device_backend(device: str) -> Any:
    """The backend of a device by its name."""
    package = _PACKAGES.get(device)
    if device not in _by_name and package and util.find_spec(package):
        register(import_module(package))
    if device not in _by_name:
        source = f"; it comes with the package {package}" if package else ""
        registered = ", ".join(map(repr, _by_name))
        raise DeviceError(f"no device {device!r}{source}; this installation has {registered}")
    return _by_name[device]


def to_device(array: Any, device: str) -> Any:
    """A copy of an array on another device."""
    return device_backend(device).asarray(backend_of(array).to_numpy(array))
