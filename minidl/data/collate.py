"""Collating: batches from lists of samples."""

from collections.abc import Callable, Sequence
from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.data.transfer import on_host
from minidl.errors import MinidlError, ShapeError, describe, listed, raise_explained
from minidl.ops import concat, stack


def collate(samples: Sequence[Any]) -> Any:
    """Collate samples into a batch: numbers and arrays are stacked, also within containers.

    >>> from minidl.data import collate
    >>> x, names = collate([(1.0, "a"), (2.0, "b")])
    >>> x.tolist(), names
    ([1.0, 2.0], ['a', 'b'])
    """
    samples = listed("collate", "a list of samples", samples)
    if not samples:
        raise ShapeError("DataLoader: a batch needs at least one sample; got none")
    return _merged(samples, _stacked)


def batch_of(dataset: Any, indices: Tensor) -> Any:
    """The batch of samples at these indices, by the dataset's own `batch` if it has one."""
    if hasattr(dataset, "batch"):
        return dataset.batch(indices)
    return collate(samples_of(dataset, indices.tolist()))


def samples_of(dataset: Any, indices: Sequence[Any]) -> list[Any]:
    """The samples at these indices; errors name the sample at which they occurred."""
    samples = []
    for index in indices:
        try:
            samples.append(dataset[index])
        except Exception as error:
            error.add_note(f"DataLoader: this is sample {index!r} of {len(dataset)}")
            raise
    return samples


def concatenated(batches: Sequence[Any], order: Tensor | None = None) -> Any:
    """The concatenation of batches, with their samples in this order, if one is given."""

    def leaf(parts: Sequence[Any]) -> Any:
        if _is_strings(parts[0]):
            flat = [text for texts in parts for text in texts]
            return flat if order is None else [flat[i] for i in order.tolist()]
        if _is_container(parts[0]):
            return None
        joined = _of_one_shape(concat, parts)
        return joined if order is None else joined[order]

    return _merged(batches, leaf)


def _merged(parts: Sequence[Any], leaf: Callable[[Sequence[Any]], Any]) -> Any:
    """Merge equal structures; `leaf` merges leaves, and returns None for containers."""
    merged = leaf(parts)
    if merged is not None:
        return merged
    first = parts[0]
    keys = first.keys() if isinstance(first, dict) else range(len(first))
    for part in parts:
        own = part.keys() if isinstance(part, dict) else range(_length(part))
        if type(part) is not type(first) or own != keys:
            raise ShapeError(
                f"DataLoader: samples of one batch must be alike; got {describe(first)} and "
                f"{describe(part)}; pass collate_fn to join them"
            )
    columns = [_merged([part[key] for part in parts], leaf) for key in keys]
    if isinstance(first, dict):
        return dict(zip(keys, columns, strict=True))
    return first._make(columns) if hasattr(first, "_make") else type(first)(columns)


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list | tuple)


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], str | bytes)


def _length(sample: Any) -> int:
    return len(sample) if isinstance(sample, list | tuple) else -1


def _stacked(samples: Sequence[Any]) -> Any:
    """Strings as a list; numbers or arrays stacked; None for containers."""
    if isinstance(samples[0], str | bytes):
        return list(samples)
    return None if _is_container(samples[0]) else _of_one_shape(stack, samples)


def _of_one_shape(join: Callable[[list[Tensor]], Tensor], samples: Sequence[Any]) -> Tensor:
    """Tensors of one shape joined by `stack`, or by `concat` along the first axis."""
    try:
        tensors = [on_host(sample) for sample in samples]
    except MinidlError as error:
        raise_explained("DataLoader", [], error)
    shapes = {x.shape if join is stack else x.shape[1:] for x in tensors}
    if len(shapes) > 1:
        raise ShapeError(
            f"DataLoader: samples of one batch must have one shape; got {sorted(shapes)}; pad "
            "them, or pass collate_fn"
        )
    return join(tensors)
