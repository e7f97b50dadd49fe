"""Masks: which steps of a sequence there are, and which are padding.

A mask (N, T) of bools belongs to a tensor (N, T, …) and travels with it from layer to layer, as in
Keras: a `MaskedTensor` is a tensor with a mask.  What an operation makes of one has none; a layer
decides with `compute_mask` what mask its output has.  Modules are given tensors without a mask; one
that needs it, as batch normalisation does, finds it with `passed_mask`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.keras.structure import flatten, map_leaves, pack


class MaskedTensor(Tensor):
    """A tensor with a mask: False where there is nothing but padding."""

    __slots__ = ("mask",)
    mask: Tensor

    def __reduce__(self) -> tuple[Any, ...]:
        return masked, (Tensor(self.data, self.edge), self.mask)


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """The tensor x with a mask, sharing its memory and its history; without one if it is None."""
    if mask is None and type(x) is not MaskedTensor:
        return x
    if mask is None:
        return Tensor(x.data, x.edge)
    found = MaskedTensor.__new__(MaskedTensor)
    Tensor.__init__(found, x.data, x.edge)
    found.mask = as_mask(mask)
    return found


def mask_of(x: Any) -> Any:
    """The mask of a tensor, or None."""
    return x.mask if type(x) is MaskedTensor else None


def masks_of(structure: Any) -> Any:
    """The masks of the tensors in a structure."""
    return map_leaves(mask_of, structure)


def has_mask(structure: Any) -> bool:
    """Whether any tensor in a structure has a mask."""
    return any(type(x) is MaskedTensor for x in flatten(structure))


def with_masks(structure: Any, masks: Any) -> Any:
    """The tensors of a structure with masks, those that have one already with their own."""
    tensors, given = flatten(structure), flatten(masks)
    if len(given) < len(tensors):
        given += [None] * (len(tensors) - len(given))
    pairs = zip(tensors, given, strict=False)
    return pack(
        structure, [x if m is None or mask_of(x) is not None else masked(x, m) for x, m in pairs]
    )


# The mask of the call that this is in, and the ids of the modules that it reaches.
_passed: ContextVar[tuple[Tensor, set[int]] | None] = ContextVar("_passed", default=None)


@contextmanager
def passing(mask: Tensor | None, modules: Iterable[Any]) -> Iterator[None]:
    """A block in which the mask, if there is one, is that of the inputs of these modules."""
    if mask is None:
        yield
        return
    token = _passed.set((mask, set(map(id, modules))))
    try:
        yield
    finally:
        _passed.reset(token)


def passed_mask(module: Any) -> Tensor | None:
    """The mask of the input of a module, or None."""
    mask, modules = _passed.get() or (None, ())
    return mask if id(module) in modules else None


def as_mask(mask: Any) -> Tensor:
    """A mask as a tensor of bools."""
    mask = ops.asarray(mask)
    return mask if mask.dtype.kind == "b" else mask != 0
