"""Assignment of attributes: a parameter, a buffer or a submodule stays one, or becomes None.

A tensor assigned where a parameter was would be used, but not trained, moved or saved, and nothing
would say so.
"""

from typing import Any, NamedTuple

from minidl.autograd.checkpoint import before_write
from minidl.autograd.tensor import Tensor
from minidl.errors import DTypeError, describe
from minidl.nn.hooks import Hooked
from minidl.nn.parameter import Buffer, Parameter, as_buffer


class Place(NamedTuple):
    """What an attribute is for, also while it is None."""

    kind: type  # Parameter, Buffer, or the class of modules
    persistent: bool = True  # of a buffer


class Attributes(Hooked):
    """An object whose parameters, buffers and submodules cannot be lost by an assignment."""

    _absent: dict[str, Place] | None = None  # the places of what is None

    def __setattr__(self, name: str, value: Any) -> None:
        place = self._place(name)
        if place is not None:
            value = self._fitting(name, place, value)
            if place.kind is Buffer:
                before_write(self, name=name)
            self._keep_place(name, place if value is None else None)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._keep_place(name, None)

    def _place(self, name: str) -> Place | None:
        """What an attribute is for; None for all but parameters, buffers and submodules."""
        own = vars(self).get(name)
        if own is None:
            return None if self._absent is None else self._absent.get(name)
        if isinstance(own, Buffer):
            return Place(Buffer, own.persistent)
        kind = next((kind for kind in (Parameter, Hooked) if isinstance(own, kind)), None)
        return None if kind is None else Place(kind)

    def _keep_place(self, name: str, place: Place | None) -> None:
        """Keep the place of what is None, or forget that of what is there."""
        absent = self._absent or {}
        if place is not None:
            self._absent = absent | {name: place}
        elif name in absent:
            self._absent = {key: kept for key, kept in absent.items() if key != name}

    def _fitting(self, name: str, place: Place, value: Any) -> Any:
        """The value to be assigned to a place, or DTypeError."""
        if value is None or isinstance(value, place.kind | Parameter):
            return value
        if place.kind is Buffer and isinstance(value, Tensor):
            return as_buffer(value, place.persistent)
        if place.kind is not Parameter and isinstance(value, Hooked):
            return value
        word, mend = "module", "a module"
        if place.kind is Parameter:
            word, mend = "parameter", f"an nn.Parameter, or write {name}[...] = values in no_grad"
        elif place.kind is Buffer:
            word, mend = "buffer", f"a tensor, or write {name}[...] = values"
        raise DTypeError(
            f"{type(self).__name__}: {name} is a {word}; got {describe(value)}; assign {mend}; "
            f"or first `del` it, for an attribute of another kind"
        )
