"""The masks of multi-head attention, as one mask for the operation.

PyTorch's layers say True for a key that is ignored, its operation True for one that takes part;
floats are added to the logits in both.
"""

import math
from functools import reduce
from typing import Any

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.errors import DTypeError, ShapeError, describe

# The shape of the logits of a layer is (N, H, L, S), or (H, L, S) for a single sequence.


def operation_mask(
    layer: str,
    shape: tuple[int, ...],
    key_padding_mask: Any,
    attn_mask: Any,
    is_causal: bool,
    *,
    past: int,
    extra: int,
    like: Tensor,
) -> tuple[Tensor | None, bool]:
    """The mask and `is_causal` for `scaled_dot_product_attention`.

    shape    of the logits, with all keys but the extra ones
    past     how many keys come before the first query
    extra    how many keys stand after the others, which all queries see
    like     a tensor of the dtype and on the device of the logits
    """
    masks = []
    if attn_mask is not None:
        masks.append(_of_queries(layer, shape, attn_mask, past, like))
    if key_padding_mask is not None:
        masks.append(_of_keys(layer, shape, key_padding_mask, like))
    if is_causal and (past or extra):
        is_causal = False
        if shape[-2] > 1 or not past:  # a single new query comes after all keys
            later = ops.ones(shape[-2:], dtype="bool", device=like.device)
            masks.append(ops.triu(later, k=past + 1))
    if not masks:
        return None, is_causal
    if all(mask.dtype.kind == "b" for mask in masks):
        ignored = _with_visible(reduce(ops.logical_or, masks), 0, extra)
        return ops.logical_not(ignored), is_causal
    added = [_as_floats(mask, like) for mask in masks]
    return _with_visible(reduce(ops.add, added), 0, extra), is_causal


def _of_queries(
    layer: str, shape: tuple[int, ...], attn_mask: Any, past: int, like: Tensor
) -> Tensor:
    """attn_mask (L, S) or (N·H, L, S), to broadcast to the logits."""
    mask = _checked(layer, "attn_mask", attn_mask, like)
    length, keys = shape[-2:]
    each = math.prod(shape[:-2])
    if past and mask.shape in ((length, keys - past), (each, length, keys - past)):
        mask = _with_visible(mask, past, 0)
    if mask.shape not in ((length, keys), (each, length, keys)):
        raise ShapeError(
            f"{layer}: attn_mask has shape (L, S), {(length, keys)}, or (N·num_heads, L, S), "
            f"{(each, length, keys)}; got {mask.shape}"
        )
    return mask if mask.ndim == 2 else ops.reshape(mask, shape)


def _of_keys(layer: str, shape: tuple[int, ...], key_padding_mask: Any, like: Tensor) -> Tensor:
    """key_padding_mask (N, S), or (S,) for a single sequence, to broadcast to the logits."""
    mask = _checked(layer, "key_padding_mask", key_padding_mask, like)
    needed = (*shape[:-3], shape[-1])
    if mask.shape != needed:
        axes = "(N, S)" if len(needed) > 1 else "(S,) of a single sequence"
        raise ShapeError(f"{layer}: key_padding_mask has shape {axes}, {needed}; got {mask.shape}")
    return mask if mask.ndim == 1 else ops.expand_dims(mask, axis=(1, 2))


def _checked(layer: str, name: str, mask: Any, like: Tensor) -> Tensor:
    """The mask as a tensor of bools, or of floats as the logits."""
    if getattr(getattr(mask, "dtype", None), "kind", "") not in ("b", "f"):
        raise DTypeError(
            f"{layer}: {name} has bools, True where a key is ignored, or floats, to be added to "
            f"the logits; got {describe(mask)}"
        )
    mask = ops.asarray(mask)
    return mask if mask.dtype.kind == "b" or mask.dtype == like.dtype else mask.astype(like.dtype)


def _as_floats(mask: Tensor, like: Tensor) -> Tensor:
    """−∞ where a key is ignored, else 0."""
    if mask.dtype.kind == "f":
        return mask
    return ops.where(mask, -math.inf, ops.zeros(mask.shape, dtype=like.dtype, device=like.device))


def _with_visible(mask: Tensor, before: int, after: int) -> Tensor:
    """The mask with keys that all queries see, before and after the others."""
    if not before and not after:
        return mask
    widths = [(*mask.shape[:-1], n) for n in (before, after)]
    first, last = (ops.zeros(shape, dtype=mask.dtype, device=mask.device) for shape in widths)
    return ops.concat([first, mask, last], axis=-1)
