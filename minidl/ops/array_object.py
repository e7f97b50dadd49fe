"""Protocols of the array API standard: DLPack and the array namespace."""

import sys
from types import ModuleType
from typing import Any

from minidl.autograd import inplace
from minidl.autograd.tensor import Tensor
from minidl.backends.registry import on_device_of
from minidl.checks import check_flags
from minidl.errors import ArgumentError, InterchangeError, describe, named
from minidl.ops import manipulation

VERSIONS = "2021.12", "2022.12", "2023.12", "2024.12"


def _namespace(x: Tensor, /, *, api_version: str | None = None) -> ModuleType:
    """The namespace of the array API standard that x belongs to: minidl itself."""
    if api_version not in (None, *VERSIONS):
        raise ArgumentError(
            f"__array_namespace__: minidl follows version {VERSIONS[-1]} of the array API "
            f"standard; {api_version!r} was asked for"
        )
    return sys.modules[__name__.partition(".")[0]]


def exportable(x: Tensor) -> Tensor:
    """x, if its memory may be exported; else InterchangeError or GradientError."""
    if x.requires_grad:
        raise InterchangeError(
            f"{describe(x)} requires a gradient, which another library would not know of; "
            "call detach() first"
        )
    inplace.refuse_superseded(x.data, "dlpack")
    return x


@named
def _dlpack(
    x: Tensor,
    /,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """The memory of x for another library, as a DLPack capsule.

    Since version 1.0 of DLPack it is marked as read-only, because in-place safety cannot detect
    writes by other libraries: NumPy respects the mark, PyTorch does not, and writing there while a
    gradient is pending makes it wrong.  Before 1.0, which JAX uses, there is no such mark.  Other
    libraries do not support negative strides (PyTorch's process ends), nor read-only memory before
    1.0: those are copied, unless copy=False.

    raises    InterchangeError (a BufferError) for a tensor that requires a gradient, for another
              device, and for what copy=False forbids
    """
    check_flags("dlpack", copy=copy is not None and copy)
    if stream is not None and x.device == "cpu":
        raise ArgumentError(f"a CPU has no streams; got stream={describe(stream)}")
    if max_version is not None and not (isinstance(max_version, tuple) and len(max_version) == 2):
        raise ArgumentError(f"max_version is a pair of integers; got {describe(max_version)}")
    array, marked = exportable(x).data, max_version is not None and max_version[0] >= 1
    if x.device == "cpu":
        reversed_ = any(step < 0 for step in array.strides)
        if reversed_ or not (marked or array.flags.writeable):
            if copy is False:
                why = "strides below 0" if reversed_ else "read-only memory before DLPack 1.0"
                raise InterchangeError(f"{why} need a copy, which copy=False forbids")
            copy = True
        array = array.view()
        array.flags.writeable = array.flags.writeable and not marked
    try:
        with on_device_of(array):
            if copy and x.device != "cpu" and dl_device in (None, array.__dlpack_device__()):
                array, copy = array.copy(), None  # CuPy makes none for a GPU
            return array.__dlpack__(
                stream=stream, max_version=max_version, dl_device=dl_device, copy=copy
            )
    except (BufferError, ValueError) as error:  # NumPy 2.1 raises the second for devices
        raise InterchangeError(str(error)) from error


def _to_device(x: Tensor, device: str, /, *, stream: Any = None) -> Tensor:
    """The same values on another device."""
    if stream is not None:
        raise ArgumentError(
            f"to_device: takes no stream, but the one of `with minidl.cuda.stream(…):`, on a GPU; "
            f"a CPU has no streams; got {stream!r:.60}"
        )
    return manipulation.to_device(x, device)


def _cuda_array_interface(x: Tensor) -> dict[str, Any]:
    """The memory of x for another library on the same GPU; there is none on the CPU.

    Writes by that library are not detected by in-place safety.
    """
    if not hasattr(x.data, "__cuda_array_interface__"):
        raise AttributeError(
            f"__cuda_array_interface__ is of tensors on a GPU; this is on {x.device}"
        )
    return exportable(x).data.__cuda_array_interface__


def equip(cls: type[Tensor]) -> None:
    """Give Tensor these protocols."""
    protocols = {
        "__array_namespace__": _namespace,
        "__dlpack__": _dlpack,
        "__cuda_array_interface__": property(_cuda_array_interface),
        "to_device": _to_device,
    }
    for name, method in protocols.items():
        setattr(cls, name, method)
