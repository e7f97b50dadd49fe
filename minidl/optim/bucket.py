"""Bucket: parameters that step together, the arrays of their state, and these as flat arrays."""

from collections.abc import Iterable, Mapping
from operator import is_
from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.backends import registry
from minidl.errors import ArgumentError, MinidlError, ShapeError, describe, raise_explained
from minidl.ops import asarray
from minidl.optim.flat import flatten, unflatten

State = dict[str, Any]


class Bucket:
    """Parameters of one dtype, on one device and with equal step counts, and their state.

    Between two steps anything may be replaced by hand: `optimizer.state[p]["exp_avg"] = …`.  So a
    bucket is current only while all arrays are the very objects that it has seen; being kept here,
    none of them can have given its address to another.

    names    of the state arrays that each parameter has
    """

    def __init__(self, params: list[Tensor], states: list[State], names: tuple[str, ...]) -> None:
        self.params, self.states, self.names = params, states, names
        self._seen = _arrays(params, states, names)
        self._flat: dict[str, Any] | None = None

    def is_current(self, params: list[Tensor], state: Mapping[Tensor, State]) -> bool:
        """Whether these are its parameters, and have the arrays that it has seen."""
        try:
            found = _arrays(params, [state[p] for p in params], self.names)
        except KeyError:  # an entry was deleted
            return False
        return all(map(is_, self._seen, found))

    def is_spent(self, state: Mapping[Tensor, State]) -> bool:
        """Whether it holds flat arrays that are no longer the state."""
        return self._flat is not None and not self.is_current(self.params, state)

    def flat(self, xp: Any) -> dict[str, Any]:
        """The state as flat arrays by name, of which each parameter's state becomes a view."""
        if self._flat is None:
            self._flat = {
                name: flatten(xp, [own[name] for own in self.states]) for name in self.names
            }
            for name, array in self._flat.items():
                views = unflatten(array, self.params)
                for own, view in zip(self.states, views, strict=True):
                    own[name] = view
            self._seen = _arrays(self.params, self.states, self.names)
        return dict(self._flat)


def _arrays(params: list[Tensor], states: list[State], names: tuple[str, ...]) -> list[Any]:
    """The state of all parameters, their values and their state arrays."""
    found: list[Any] = [*states, *[p.data for p in params]]
    for name in names:
        found += [own[name] for own in states]
    return found


def restored(
    number: int, own: Mapping[str, Any], p: Tensor, names: Iterable[str], numbers: Iterable[str]
) -> State:
    """The validated state of parameter `number` from a saved one: arrays like p, and numbers."""
    step = own.get("step", 1)
    if step != int(step) or step < 0:
        raise ArgumentError(f"load_state_dict: parameter {number} has the step {step!r}")
    state: dict[str, Any] = {"step": int(step)}
    for name in numbers:
        if own.get(name) is None:
            raise ArgumentError(f"load_state_dict: parameter {number} has no {name}")
        state[name] = float(own[name])
    for name in names:
        array = None if own.get(name) is None else asarray(own[name], copy=True)
        if array is None or array.shape != p.shape:
            raise ShapeError(f"load_state_dict: parameter {number} needs {name} of shape {p.shape}")
        state[name] = state_array("load_state_dict", name, array, p)
    return state


def state_array(who: str, name: str, value: Any, p: Tensor) -> Any:
    """A state array in the form that update rules take: like the parameter, in C order.

    A value that has this form is used as it is; another is copied into it.
    """
    array, like = value.data if isinstance(value, Tensor) else value, p.data
    if _has_form_of(like, array):
        return array
    try:
        given = asarray(value, copy=True)
        if given.shape != p.shape:
            raise ShapeError(
                f"{who}: the state {name!r} of a parameter needs its shape {p.shape}; got "
                f"{describe(value)}"
            )
        contiguous = given.reshape(-1).reshape(p.shape)  # fused kernels need C order
        return contiguous.astype(p.dtype).to_device(p.device).data
    except MinidlError as error:
        raise_explained(f"{who}: state {name!r}", [value], error)


def _has_form_of(like: Any, array: Any) -> bool:
    if type(array) is not type(like) or (array.shape, array.dtype) != (like.shape, like.dtype):
        return False
    if registry.several and registry.device_of(array) != registry.device_of(like):
        return False
    flags = getattr(array, "flags", None)
    return flags is None or (flags.c_contiguous and flags.writeable)
