"""Data adapters: loaders from arrays, datasets and loaders, with the data validated."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from minidl import nn
from minidl.autograd.tensor import Tensor
from minidl.backends import device
from minidl.backends.registry import get_default_device
from minidl.data import DataLoader, TensorDataset
from minidl.data.text.stream import StreamBatches
from minidl.data.transfer import moved, on_host
from minidl.errors import (
    ArgumentError,
    BoundsError,
    DTypeError,
    MinidlError,
    ShapeError,
    describe,
    raise_explained,
)


def batches_of(
    who: str, data: Any, batch_size: int, shuffle: bool, dtype: Any, *, roles: bool = True
) -> Iterable[Any]:
    """A loader for user data.

    data     a tuple of arrays of one length, whose floats are cast to `dtype`; a dataset, with a
             length and indexing; or any iterable of batches that can be iterated repeatedly
    roles    whether the last of the arrays is the target

    Raises ShapeError for arrays of different lengths or without samples, and ArgumentError for NaN
    or infinity in arrays, naming the first such sample.
    """
    if isinstance(data, tuple):
        data = _dataset(who, data, dtype, roles)
    elif isinstance(data, Tensor | np.ndarray):
        if roles:
            raise ArgumentError(f"{who}: needs inputs and targets, (x, y); got {describe(data)}")
        data = _dataset(who, (data,), dtype, roles)
    if tensors := _tensors(data):
        _check_finite(who, tensors, roles)
    if hasattr(data, "__len__") and not len(data):
        raise ShapeError(f"{who}: there are no {'batches' if _is_loader(data) else 'samples'}")
    if _is_loader(data):
        return data
    is_dataset = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    if not is_dataset or isinstance(data, str | Mapping):
        raise DTypeError(
            f"{who}: data is a DataLoader, a dataset, or a tuple of arrays; got {describe(data)}"
        )
    return DataLoader(data, batch_size, shuffle, pin_memory=True)


def float_dtype(model: nn.Module) -> Any:
    """The dtype of a model's first floating-point parameter, if it has one."""
    return next((p.dtype for p in model.parameters() if p.dtype.kind == "f"), None)


def device_of(model: nn.Module) -> device:
    """The device of a model's first parameter or buffer; of one without, the default device."""
    tensors = (*model.parameters(), *model.buffers())
    return tensors[0].device if tensors else get_default_device()


def batches_on(where: device, data: Any) -> Iterator[Any]:
    """The batches of an epoch, on a device."""
    if isinstance(data, DataLoader | StreamBatches):
        return data.batches(where)
    return iter(data) if where == "cpu" else moved(data, where)


def inputs_and_target(who: str, batch: Any) -> tuple[Any, ...]:
    """A batch as a tuple of the inputs and, last, the target; ShapeError unless it is one."""
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        given = f"{len(batch)} parts" if isinstance(batch, tuple | list) else describe(batch)
        raise ShapeError(f"{who}: a batch is a tuple of inputs and, last, the target; got {given}")
    return tuple(batch)


def batch_length(x: Any) -> int:
    """The number of samples in an input of the model."""
    if isinstance(x, dict | list | tuple):
        return batch_length(next(iter(x.values() if isinstance(x, dict) else x)))
    return x.shape[0] if getattr(x, "shape", ()) else 1


def check_labels(who: str, data: Any, classes: int | None, ignored: int | None = None) -> None:
    """Raise BoundsError unless all labels of a TensorDataset are in 0 … classes − 1, or ignored."""
    tensors = _tensors(data)
    if classes is None or not tensors or tensors[-1].dtype.kind not in "iu":
        return
    labels = tensors[-1].numpy()
    if not labels.size or (labels.min() >= 0 and labels.max() < classes):
        return
    outside = (labels < 0) | (labels >= classes)
    if ignored is not None:
        outside &= labels != ignored
    if not outside.any():
        return
    position = np.argwhere(outside)[0]
    raise BoundsError(
        f"{who}: label {labels[tuple(position)]} of sample {position[0]} is outside 0 … "
        f"{classes - 1}: the model gives {classes} classes"
    )


def _tensors(data: Any) -> tuple[Tensor, ...]:
    """The tensors of a TensorDataset, or of a loader of one; otherwise none."""
    dataset = data.dataset if isinstance(data, DataLoader) else data
    return dataset.tensors if isinstance(dataset, TensorDataset) else ()


def _is_loader(data: Any) -> bool:
    """Whether it is an iterable of batches, rather than an indexable dataset."""
    return hasattr(data, "__iter__") and not hasattr(data, "__getitem__")


def _dataset(who: str, arrays: tuple[Any, ...], dtype: Any, roles: bool) -> TensorDataset:
    """A TensorDataset of arrays, floats cast to `dtype`."""
    if not roles and not arrays:
        raise ArgumentError(f"{who}: needs inputs; got an empty tuple")
    if roles and len(arrays) < 2:
        raise ArgumentError(f"{who}: needs inputs and targets, (x, y); got {len(arrays)} arrays")
    try:
        tensors = [on_host(x) for x in arrays]
    except MinidlError as error:
        raise_explained(who, arrays, error)
    lengths = [len(x) if x.ndim else 0 for x in tensors]
    if len(set(lengths)) > 1:
        names = [f"{n} in {_role(i, tensors, roles)}" for i, n in enumerate(lengths)]
        raise ShapeError(f"{who}: arrays need as many samples each; got {', '.join(names)}")
    if not lengths[0]:
        raise ShapeError(f"{who}: there are no samples; shapes {[x.shape for x in tensors]}")
    floats = [x.dtype.kind == "f" and dtype not in (None, x.dtype) for x in tensors]
    return TensorDataset(
        *(x.astype(dtype) if cast else x for x, cast in zip(tensors, floats, strict=True))
    )


def _check_finite(who: str, tensors: tuple[Tensor, ...], roles: bool) -> None:
    """Raise ArgumentError if there is a NaN or an infinity, naming the first such sample."""
    for i, tensor in enumerate(tensors):
        values = tensor.numpy()
        if values.dtype.kind != "f" or not values.size:
            continue
        if np.isfinite(values.min()) and np.isfinite(values.max()):  # both propagate NaN
            continue
        position = tuple(map(int, np.argwhere(~np.isfinite(values))[0]))
        raise ArgumentError(
            f"{who}: {_role(i, tensors, roles)} have {values[position]} in sample {position[0]} "
            f"(at {position}); training on it would make every weight NaN"
        )


def _role(i: int, tensors: Any, roles: bool) -> str:
    """The role of the i-th array, for error messages."""
    if roles and i == len(tensors) - 1:
        return "the targets"
    return f"inputs {i}" if len(tensors) - roles > 1 else "the inputs"
