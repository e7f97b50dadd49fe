"""The registry of backends: the type of an array determines its backend, here and nowhere else.

A backend may have several devices, "cuda:0" and "cuda:1", of which one is *current* in a thread:
there its functions compute and create arrays.  Whatever computes with arrays first makes their
device the current one, if `several` says that it may be another.
"""

from contextlib import AbstractContextManager, ExitStack, nullcontext
from importlib import import_module, util
from typing import Any

from minidl.backends.device import default_device, device, set_default
from minidl.errors import DeviceError

# Devices whose backend is a separate package, imported when first requested; how to install it, and
# what it means if it finds no device.
_PACKAGES = {
    "cuda": (
        "minidl_cuda",
        "install minidl[cuda13], or minidl[cuda12] where `nvidia-smi` shows CUDA 12",
        "there is no GPU by NVIDIA, or no driver for it; `nvidia-smi` shows both",
    )
}

# A backend is a namespace, a module or any object with the attributes of the contract.
by_type: dict[type, Any] = {}
_by_name: dict[str, Any] = {}

several = False  # whether any backend has more than one device


def register(backend: Any) -> None:
    """Register a backend under its name and its array type."""
    global several
    by_type[backend.Array] = _by_name[backend.name] = backend
    several = several or len(backend.devices()) > 1


def backend_of(array: Any) -> Any:
    """The backend of an array; None for any other value."""
    backend = by_type.get(type(array))
    if backend is None:  # a subclass, such as numpy.memmap, or a scalar as a 0-d result
        registered = by_type.values()
        backend = next((b for b in registered if isinstance(array, (b.Array, b.Scalar))), None)
    return backend


def device_of(array: Any) -> device:
    """The device that an array, a Tensor or a RowGradient is on."""
    array = _held(array)
    return backend_of(array).device_of(array)


def device_backend(name: str) -> Any:
    """The backend of a device."""
    return find(name)[0]


def find(name: str) -> tuple[Any, device]:
    """The backend of a device, and the device's full name: "cuda" is the current one, "cuda:0".

    raises    DeviceError if there is no such device
    """
    given = device(name)
    backend = _by_name.get(given.type) or _imported(given.type)
    if given.index is None:
        return backend, backend.current_device()
    there = backend.devices()
    if given not in there:
        if given.index == 0 and there == [given.type]:  # "cpu:0", as PyTorch's users may write
            return backend, there[0]
        raise DeviceError(f"no device {str(given)!r}; there are {', '.join(map(repr, there))}")
    return backend, given


def _imported(name: str) -> Any:
    """The backend of a device that was not used before."""
    if name not in _PACKAGES:
        known = ", ".join(map(repr, [*_by_name, *(_PACKAGES.keys() - _by_name)]))
        raise DeviceError(f"no device {name!r}; minidl knows {known}")
    package, needs, here = _PACKAGES[name]
    if not util.find_spec(package):
        raise DeviceError(f"no device {name!r}: the package {package} is not installed; {needs}")
    try:
        backend = import_module(package)
        there = backend.devices()
    except ImportError as error:
        raise DeviceError(f"no device {name!r}: {error}; {needs}") from error
    if not there:
        raise DeviceError(f"no device {name!r}: {here}")
    register(backend)
    return backend


def create(name: str | None, function: str, *arguments: Any, **settings: Any) -> Any:
    """The array that a function of the contract creates on a device; None: the default device."""
    if name is None:
        name = default_device()
    backend = _by_name.get(name)
    if backend is None or several:
        backend, name = find(name)
        with on(name):
            return getattr(backend, function)(*arguments, **settings)
    return getattr(backend, function)(*arguments, **settings)


def to_device(array: Any, name: str, *, non_blocking: bool = False) -> Any:
    """A copy of an array on another device, by way of the host."""
    return create(name, "asarray", backend_of(array).to_numpy(array))


# The current device.


class on:  # noqa: N801 - a `with` block
    """A block in which a device is the current one of its backend, in this thread."""

    __slots__ = ("_backend", "_before", "_device")

    def __init__(self, name: str) -> None:
        self._backend, self._device = find(name)

    def __enter__(self) -> device:
        self._before = self._backend.current_device()
        if self._before != self._device:
            self._backend.set_device(self._device)
        return self._device

    def __exit__(self, *_: object) -> None:
        if self._backend.current_device() != self._before:
            self._backend.set_device(self._before)


_UNCHANGED = nullcontext()


def on_device_of(array: Any) -> AbstractContextManager[Any]:
    """A block in which the device of an array, or of a Tensor, is the current one."""
    return on(device_of(array)) if several else _UNCHANGED


def keeping_devices() -> AbstractContextManager[Any]:
    """A block after which the current devices are those of before."""
    if not several:
        return _UNCHANGED
    stack = ExitStack()
    for backend in by_type.values():
        stack.enter_context(on(backend.current_device()))
    return stack


def make_current(array: Any) -> None:
    """Make the device of an array the current one, in a block of `keeping_devices`."""
    array = _held(array)
    backend = backend_of(array)
    if backend is not None:
        own = backend.device_of(array)
        if own != backend.current_device():
            backend.set_device(own)


def _held(value: Any) -> Any:
    """The array of a Tensor or a RowGradient; anything else itself."""
    return value.data if hasattr(value, "edge") else getattr(value, "rows", value)


def set_default_device(name: str | None) -> None:
    """Create tensors on this device from now on, in all threads, unless another one is specified.

    Numbers, lists and NumPy arrays become tensors there; arrays that are on another device already
    stay where they are.  MINIDL_DEVICE in the environment sets it from the start; None returns to
    that, or to "cpu".  `with minidl.device(…):` sets it for a block, in one thread.

    raises    DeviceError if there is no such device

    >>> minidl.set_default_device("cpu")
    >>> minidl.get_default_device()
    'cpu'
    """
    if name is not None:
        name = device(name)
        find(name)
    set_default(name)


def get_default_device() -> device:
    """The device on which tensors are created where none is specified.

    >>> with minidl.device("cpu"):
    ...     minidl.get_default_device().type
    'cpu'
    """
    return find(default_device())[1]
