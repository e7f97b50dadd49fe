"""A stand-in for CuPy, over NumPy, that runs CUDA kernels on the CPU.

`install()` puts it where `import cupy` looks.
"""

import sys
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tests.cuda.stand_in import devices, functions, modules, operators
from tests.cuda.stand_in.arrays import ndarray
from tests.cuda.stand_in.counters import Differs, counters

__all__ = ["Differs", "counters", "install", "ndarray"]

_runtime = SimpleNamespace(
    getDeviceCount=lambda: devices.DEVICES,
    getDevice=devices.current_device,
    setDevice=lambda device: devices.Device(device).use(),
    deviceSynchronize=lambda: devices.Device().synchronize(),
    getDeviceProperties=lambda device: {
        **{"name": b"stand-in", "totalGlobalMem": devices.CAPACITY},
        **{"major": 7, "minor": 5, "multiProcessorCount": 1},
    },
    runtimeGetVersion=lambda: 13000,
    driverGetVersion=lambda: 13000,
    is_hip=False,
    CUDARuntimeError=devices.CUDARuntimeError,
)

_cuda = SimpleNamespace(
    Device=devices.Device,
    Stream=devices.Stream,
    Event=devices.Event,
    MemoryPool=devices.Pool,
    get_current_stream=devices.current_stream,
    alloc_pinned_memory=devices.alloc_pinned_memory,
    is_available=lambda: True,
    runtime=_runtime,
    get_allocator=devices.get_allocator,
    set_allocator=devices.set_allocator,
    memory=SimpleNamespace(OutOfMemoryError=devices.OutOfMemoryError),
)


class StandIn(ModuleType):
    """The module `cupy`."""

    __version__ = "14.2.0"
    ndarray = ndarray
    generic = np.generic
    cuda = _cuda
    RawModule = modules.RawModule
    RawKernel = modules.RawKernel

    get_default_memory_pool = staticmethod(devices.default_pool)

    def __getattr__(self, name: str) -> Any:
        return functions.find(name)


class _Special(ModuleType):
    """cupyx.scipy.special."""

    def __getattr__(self, name: str) -> Any:
        if name not in functions.pinned()["special"]:
            raise AttributeError(f"cupyx.scipy.special has no {name!r}")
        function = getattr(import_module("scipy.special"), name)
        return functions.over(function, f"special.{name}")


def install() -> ModuleType:
    """Stand where `import cupy` and `import cupyx.scipy.special` look."""
    if isinstance(sys.modules.get("cupy"), StandIn):
        return sys.modules["cupy"]
    special = _Special("cupyx.scipy.special")
    scipy = ModuleType("cupyx.scipy")
    cupyx = ModuleType("cupyx")
    cupyx.errstate = functions.errstate  # type: ignore[attr-defined]
    cupyx.scipy, scipy.special = scipy, special  # type: ignore[attr-defined]
    stand_in = StandIn("cupy")
    for name, module in (("cupy", stand_in), ("cupyx", cupyx), ("cupyx.scipy", scipy),
                         ("cupyx.scipy.special", special)):  # fmt: skip
        sys.modules[name] = module
    return stand_in
