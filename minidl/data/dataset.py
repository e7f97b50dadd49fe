"""Datasets: anything with a length, and a sample for each index."""

from collections.abc import Sequence
from typing import Any

from minidl.autograd.tensor import Tensor
from minidl.errors import ShapeError, describe
from minidl.ops import asarray, stack


class TensorDataset:
    """Tensors of one length: sample i is the tuple of their i-th entries.

    tensors    what is given, as tensors; arrays share their memory
    """

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(asarray(x) for x in tensors)
        lengths = [x.shape[:1] for x in self.tensors]
        if not lengths or () in lengths or len(set(lengths)) > 1:
            shapes = [x.shape for x in self.tensors]
            raise ShapeError(f"TensorDataset: needs tensors of one length; got shapes {shapes}")

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(x[index] for x in self.tensors)

    def batch(self, indices: Tensor) -> tuple[Tensor, ...]:
        """The samples at these indices, each tensor's in one piece."""
        return self[indices]


def collate(samples: Sequence[Any]) -> Any:
    """A batch of samples: numbers and arrays are stacked; tuples, lists and dicts, inside."""
    first = samples[0]
    if isinstance(first, str | bytes):
        return list(samples)
    if not isinstance(first, dict | list | tuple):
        return _stacked(samples)
    keys = first.keys() if isinstance(first, dict) else range(len(first))
    for sample in samples:
        own = sample.keys() if isinstance(sample, dict) else range(_length(sample))
        if type(sample) is not type(first) or own != keys:
            raise ShapeError(
                f"DataLoader: samples of one batch must be alike; got {describe(first)} and "
                f"{describe(sample)}; pass collate_fn to join them"
            )
    columns = [collate([sample[key] for sample in samples]) for key in keys]
    if isinstance(first, dict):
        return dict(zip(keys, columns, strict=True))
    return first._make(columns) if hasattr(first, "_make") else type(first)(columns)


def _length(sample: Any) -> int:
    return len(sample) if isinstance(sample, list | tuple) else -1


def _stacked(samples: Sequence[Any]) -> Tensor:
    """Numbers or arrays of one shape along a new first axis."""
    tensors = [asarray(sample) for sample in samples]
    shapes = {x.shape for x in tensors}
    if len(shapes) > 1:
        raise ShapeError(
            f"DataLoader: samples of one batch must have one shape; got {sorted(shapes)}; pad "
            "them, or pass collate_fn"
        )
    return stack(tensors)
