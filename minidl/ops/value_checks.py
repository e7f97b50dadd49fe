"""Checks of values, which a device may make later than they are asked for."""

from collections.abc import Callable

from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of
from minidl.backends.registry import on_device_of


def check(valid: Tensor, error: Callable[[], Exception]) -> None:
    """Raise error() unless all are true: at once, or, on a GPU, in the next call that waits for it.

    error    may read tensors; it is called when the error is certain
    """
    with on_device_of(valid.data):
        backend_of(valid.data).check(valid.data, error)
