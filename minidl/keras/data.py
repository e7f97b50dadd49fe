"""Conversion of Keras's inputs and targets into those of minidl's networks and losses."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.data import TensorDataset
from minidl.data.transfer import on_host
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe
from minidl.keras.data_format import to_channels_first
from minidl.keras.graph.tensor import Shape
from minidl.keras.layers.base import written
from minidl.keras.losses import CategoricalCrossentropy, SparseCategoricalCrossentropy
from minidl.keras.structure import pack
from minidl.train.losses import BinaryCrossEntropy, CrossEntropy, Loss

_SPARSE, _ONE_HOT = "sparse_categorical_crossentropy", "categorical_crossentropy"
NOTHING = object()  # where targets are not wanted
_BINARY = "binary_crossentropy", "binary_cross_entropy", "bce"


def unpack_pair(who: str, pair: Any) -> tuple[Any, Any]:
    """The x and y of a pair."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ArgumentError(f"{who}: validation_data is (x, y); got {describe(pair)}")
    return pair[0], pair[1]


def inputs(who: str, x: Any, dtype: str, graph: Any) -> Any:
    """x as a tensor, or as a list, tuple or dict of tensors for several inputs.

    Float ids become integers, all else keeps its dtype until it is used.

    graph    the model's; None if it is not known what it takes
    """
    one = graph is not None and len(graph.inputs) == 1
    if isinstance(x, dict):
        return {key: _input(who, f"x[{key!r}]", value, dtype) for key, value in x.items()}
    arrays = isinstance(x, list | tuple) and all(isinstance(a, Tensor | np.ndarray) for a in x)
    if arrays and x and (not one or len(x) == 1):
        return type(x)([_input(who, f"x[{i}]", value, dtype) for i, value in enumerate(x)])
    if isinstance(x, list | tuple) and graph is not None and not one:
        return [_input(who, f"x[{i}]", value, dtype) for i, value in enumerate(x)]
    return _input(who, "x", x, dtype)


def _input(who: str, name: str, x: Any, dtype: str) -> Tensor:
    x = _tensor(who, name, x)
    return x.astype(dtype) if dtype == "int64" and x.dtype.kind == "f" else x


class Samples(TensorDataset):
    """The inputs, and the targets if there are some, of samples.

    A batch is (*inputs, target), where several targets are a tuple.

    structure    that of the inputs, if it matters
    """

    def __init__(
        self, who: str, structure: Any, inputs: list[Any], targets: list[Tensor] | None
    ) -> None:
        self.structure, self.inputs, self.targets = structure, inputs, targets
        self.who, tensors = who, [*inputs, *(targets or ())]
        names = [f"input {i + 1}" if len(inputs) > 1 else "x" for i in range(len(inputs))]
        count = len(targets or ())
        names += [f"target {i + 1}" if count > 1 else "y" for i in range(count)]
        lengths = [len(x) for x in tensors]
        if len(set(lengths)) > 1:
            given = ", ".join(f"{n} in {name}" for n, name in zip(lengths, names, strict=True))
            raise ShapeError(f"{who}: arrays need as many samples each; got {given}")
        super().__init__(*tensors)

    def batch(self, indices: Tensor) -> tuple[Any, ...]:
        """The samples at these indices."""
        return self._grouped(super().batch(indices))

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return self._grouped(super().__getitem__(index))

    def _grouped(self, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
        count = len(self.inputs)
        if self.targets is None or len(self.targets) == 1:
            return tensors
        return *tensors[:count], tensors[count:]

    def structured(self, batch: tuple[Any, ...]) -> Any:
        """The inputs of a batch in their structure; without one, one tensor or a list."""
        if self.structure is None:
            return batch[0] if len(batch) == 1 else list(batch)
        return pack(self.structure, batch)

    def split(self, fraction: float) -> tuple["Samples", "Samples"]:
        """The samples to train on, and the last ones, this fraction of all, to validate on."""
        if not 0 < fraction < 1:
            raise ArgumentError(f"fit: validation_split is between 0 and 1; got {fraction!r}")
        first = int(len(self) * (1 - fraction))
        if not 0 < first < len(self):
            raise ArgumentError(
                f"fit: validation_split={fraction} of {len(self)} samples leaves none to train "
                "on, or to test"
            )
        return self._part(slice(None, first)), self._part(slice(first, None))

    def _part(self, rows: slice) -> "Samples":
        targets = None if self.targets is None else [y[rows] for y in self.targets]
        return Samples(self.who, self.structure, [x[rows] for x in self.inputs], targets)


def by_output(who: str, y: Any, names: Sequence[str], trained: Sequence[int]) -> list[Any]:
    """The targets of the outputs at these indices: of a dict by name, of a list by position."""
    if isinstance(y, dict):
        needs = [names[i] for i in trained]
        if missing := [name for name in needs if name not in y]:
            raise ArgumentError(f"{who}: y needs targets for {needs}; got {list(y)}, not {missing}")
        return [y[name] for name in needs]
    listed = isinstance(y, list | tuple)
    if len(names) == 1:
        alone = listed and len(y) == 1 and isinstance(y[0], Tensor | np.ndarray) and y[0].ndim
        return [y[0] if alone else y]
    if listed and len(y) == len(names):
        return [y[i] for i in trained]
    if listed and len(y) == len(trained):
        return list(y)
    if len(trained) == 1:
        return [y]
    given = f"{len(y)}" if listed else describe(y)
    raise ArgumentError(
        f"{who}: y is a list of {len(names)} targets, for {list(names)}; got {given}"
    )


def targets(who: str, y: Any, loss: Any, output: Shape) -> Tensor:
    """Targets in the form that the loss takes, for predictions of the shape `output`, (None, …).

    Class numbers are (N, …) or (N, …, 1), integers; one-hot targets (N, …, C).  One-hot targets
    with spatial axes get the classes on axis 1, where the trained network has them.
    """
    y = _tensor(who, "y", y)
    if loss == _SPARSE or isinstance(loss, SparseCategoricalCrossentropy):
        return _class_numbers(who, y, output)
    if loss == _ONE_HOT or isinstance(loss, CategoricalCrossentropy):
        return _one_hot(who, y, output)
    if isinstance(loss, CrossEntropy) or loss in ("cross_entropy", "crossentropy"):
        return (_one_hot if _same_shape(y, output) else _class_numbers)(who, y, output)
    if output[-1] == 1 and _fits(y.shape[1:], output[1:-1]):
        y = y if not isinstance(loss, str | Loss) else ops.expand_dims(y, axis=-1)
    binary = loss in _BINARY or isinstance(loss, BinaryCrossEntropy)
    return to_channels_first(y) if binary and y.ndim > 2 and _same_shape(y, output) else y


def check_shape(who: str, given: tuple[int, ...], needs: Shape) -> None:
    """Raise unless inputs have the shape of the model's, with a hint on what is probably meant."""
    sample = given[1:]
    if _fits(sample, needs):
        return
    hint = ""
    if len(needs) == 3 and needs[-1] == 1 and _fits(sample, needs[:-1]):
        hint = "; the channel is missing: x[..., None]"
    elif len(needs) == 3 and _fits(sample, (needs[-1], *needs[:-1])):
        hint = "; these have the channels first: np.moveaxis(x, 1, -1)"
    elif _fits(given, needs):
        hint = "; this is one sample: x[None]"
    raise ShapeError(f"{who} needs inputs {written((None, *needs))}; got {given}{hint}")


def _fits(sample: tuple[int, ...], needs: Shape) -> bool:
    return len(sample) == len(needs) and all(
        n in (None, m) for n, m in zip(needs, sample, strict=True)
    )


def _tensor(who: str, name: str, x: Any) -> Tensor:
    """x as a tensor of real numbers with the samples on its first axis."""
    if x is None:
        raise ArgumentError(f"{who}: needs {name}, an array")
    array = x if isinstance(x, Tensor) else np.asarray(x)
    if array.dtype.kind not in "fiub":
        hint = ""
        if array.dtype.kind == "O" and not array.ndim and hasattr(x, "__iter__"):
            hint = "; batches of a loader or generator: train_on_batch(x, y) for each"
        raise DTypeError(f"{who}: {name} is an array of real numbers; got {describe(x)}{hint}")
    x = on_host(array)
    if not x.ndim:
        raise ShapeError(f"{who}: {name} needs samples along its first axis; got shape ()")
    return x


def _same_shape(y: Tensor, output: Shape) -> bool:
    """Whether targets have the shape of the predictions."""
    return _fits(y.shape[1:], output[1:])


def _class_numbers(who: str, y: Tensor, output: Shape) -> Tensor:
    """Class numbers (N, …) or (N, …, 1) as integers (N, …)."""
    rest = output[1:-1]
    if not _fits(y.shape[1:], rest) and not _fits(y.shape[1:], (*rest, 1)):
        hint = ""
        if _same_shape(y, output):
            hint = f'; of rows of ones and zeros, such as these, the loss is "{_ONE_HOT}"'
        raise ShapeError(
            f'{who}: the loss "{_SPARSE}" needs class numbers {written((None, *rest))} for results '
            f"{written(output)}; got y of shape {y.shape}{hint}"
        )
    y = y.reshape((y.shape[0], *y.shape[1 : 1 + len(rest)]))
    if y.dtype.kind == "f" and not bool(ops.all(ops.floor(y) == y)):
        raise DTypeError(f"{who}: class numbers are whole; y has others")
    return y.astype("int64")


def _one_hot(who: str, y: Tensor, output: Shape) -> Tensor:
    """One-hot targets (N, …, C) with the classes on axis 1."""
    if not _same_shape(y, output):
        hint = ""
        if _fits(y.shape[1:], output[1:-1]) or _fits(y.shape[1:], (*output[1:-1], 1)):
            hint = f'; of class numbers, such as these, the loss is "{_SPARSE}"'
        raise ShapeError(
            f'{who}: the loss "{_ONE_HOT}" needs rows of ones and zeros {written(output)}; got y '
            f"of shape {y.shape}{hint}"
        )
    return y if y.ndim == 2 else to_channels_first(y)
