"""What the array API standard asks of tensors beside arithmetic: DLPack, the namespace."""

import sys
from types import ModuleType
from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, check_flags, describe, named
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
    """The memory of x for another library; writes by it are not seen by in-place safety."""
    check_flags(copy=copy is not None and copy)
    if stream is not None and x.device == "cpu":
        raise ArgumentError(f"a CPU has no streams; got stream={describe(stream)}")
    return x.data.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)


def _to_device(x: Tensor, device: str, /, *, stream: Any = None) -> Tensor:
    """The same values on another device; no device here has streams."""
    if stream is not None:
        raise ArgumentError(f"to_device: {device!r} has no streams; got {stream!r}")
    return manipulation.to_device(x, device)


def equip(cls: type[Tensor]) -> None:
    """Give Tensor these protocols."""
    cls.__array_namespace__, cls.__dlpack__ = _namespace, _dlpack
    cls.to_device = _to_device
