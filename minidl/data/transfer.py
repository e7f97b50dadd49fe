"""Batches on their way to a device.

Data stay on the host, and batches go to a GPU on a stream of their own: while it computes one, the
next one arrives.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from minidl.autograd.host_copies import remember
from minidl.autograd.tensor import Tensor
from minidl.backends import device
from minidl.backends.registry import find
from minidl.ops import asarray

HOST = device("cpu")


def on_host(x: Any) -> Tensor:
    """A tensor of host data on the host, whatever the default device is; others where they are."""
    with HOST:
        return asarray(x)


def moved(
    batches: Iterable[Any], where: str, *, ahead: int = 0, pin: bool = False
) -> Iterator[Any]:
    """The batches, with their tensors on a device.

    ahead    how many batches are sent before they are asked for; an exception in one of them comes
             after those before it
    pin      copy them to page-locked memory first, from where they are sent faster
    """
    backend, name = find(where)
    sent: deque[Callable[[], Any]] = deque()
    failed: Exception | None = None
    source = iter(batches)
    while failed is None:
        try:
            sent.append(_begun(next(source), backend, name, pin))
        except StopIteration:
            break
        except Exception as error:
            failed = error
        if len(sent) > ahead:
            yield sent.popleft()()
    while sent:
        yield sent.popleft()()
    if failed is not None:
        raise failed


class _Sent:
    """The place of a tensor among those of a batch that are being copied."""

    def __init__(self, place: int) -> None:
        self.place = place


def _begun(batch: Any, backend: Any, where: device, pin: bool) -> Callable[[], Any]:
    """Begin to send a batch; a function that returns it with its tensors there."""
    host: list[np.ndarray] = []

    def send(x: Tensor) -> Any:
        if x.device != "cpu" or where == "cpu" or x.edge is not None:
            return x.to(where)
        host.append(x.data)
        return _Sent(len(host) - 1)

    tree = mapped(batch, Tensor, send)
    arrived = backend.upload([backend.pinned(x) if pin else x for x in host], where)

    def finished() -> Any:
        copies = [Tensor(x) for x in arrived()] if host else []
        for x, array in zip(copies, host, strict=True):
            if array.dtype.kind in "iub":
                remember(x, array)
        return mapped(tree, _Sent, lambda sent: copies[sent.place])

    return finished


def mapped(tree: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """The same dicts, lists and tuples, with function(x) for what is of a kind."""
    if isinstance(tree, kind):
        return function(tree)
    if isinstance(tree, dict):
        return {key: mapped(value, kind, function) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        items = [mapped(value, kind, function) for value in tree]
        return tree._make(items) if hasattr(tree, "_make") else type(tree)(items)
    return tree
