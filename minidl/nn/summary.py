"""Summary of a network: its layers, their output shapes, parameters and multiply-adds."""

import io
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.errors import ArgumentError, DTypeError, MinidlError, describe, raise_explained
from minidl.nn.module import Module
from minidl.ops import zeros
from minidl.ops.random import default_generator


@dataclass
class LayerSummary:
    """One module: a row of the table.

    path, kind       where it is in the network, and its class
    depth            the number of modules that contain it
    calls            the number of its calls in one forward pass
    output           the shape of its last output; tuples, lists and dicts of tensors keep their
                     structure
    parameters       its own, without those of submodules or of rows above: the column adds up
    multiply_adds    for each sample, in all its calls, without those of submodules
    """

    path: str
    kind: str
    depth: int
    calls: int = 0
    output: Any = None
    parameters: int = 0
    multiply_adds: float = 0


@dataclass(repr=False)
class Summary:
    """The result of `summary`; it prints as a table.

    layers             a row for each module; the first is the network itself
    parameters         the number of scalars in the parameters, shared ones counted once
    trainable          how many of them are trained
    parameter_bytes    the memory they take
    multiply_adds      in one forward pass, for each sample
    """

    layers: list[LayerSummary] = field(default_factory=list)
    parameters: int = 0
    trainable: int = 0
    parameter_bytes: int = 0
    multiply_adds: float = 0

    def __repr__(self) -> str:
        return f"<Summary of {self.layers[0].kind}: {self.parameters:,} parameters>"

    def __str__(self) -> str:
        text = io.StringIO()
        self.print(text)
        return text.getvalue()

    def print(self, file: Any = None) -> None:
        """Print the table to a file, else to the standard output."""
        from rich.console import Console

        file = file or sys.stdout
        Console(file=file, width=None if file.isatty() else 160, highlight=False).print(
            self._table(), *self._totals(), sep="\n"
        )

    def _table(self) -> Any:
        from rich import box
        from rich.table import Table

        repeated = any(layer.calls > 1 for layer in self.layers)
        table = Table("layer", "type", "output", box=box.SIMPLE_HEAD, show_edge=False)
        for name in ("calls",) * repeated + ("parameters", "multiply-adds"):
            table.add_column(name, justify="right")
        for layer in self.layers:
            numbers = (layer.calls,) * repeated + (layer.parameters, layer.multiply_adds)
            output = _text(layer.output) if layer.calls else "not called"
            path = "  " * layer.depth + layer.path
            table.add_row(path, layer.kind, output, *[_count(n) if n else "" for n in numbers])
        return table

    def _totals(self) -> list[str]:
        frozen = self.parameters - self.trainable
        trained = f"{_count(frozen)} of them frozen" if frozen else "all of them trainable"
        memory = f"{self.parameter_bytes / 1e6:,.2f} MB"
        return [
            f"{_count(self.parameters)} parameters ({memory}), {trained}",
            f"{_count(self.multiply_adds)} multiply-adds for each sample",
        ]


def summary(model: Module, *inputs: Any, dtypes: Any = None, **settings: Any) -> Summary:
    """Run the model once, print a table of its layers, and return what is in it.

        nn.summary(model, (32, 1, 28, 28))

    inputs      the arguments of the call: tensors, or shapes of inputs of zeros, with the batch
                first, or second where they are time-major, as of an `LSTM` without batch_first
    dtypes      of the inputs that are shapes: one for all of them, or a list of one for each input;
                by default that of the parameters
    settings    keyword arguments of the call

    The pass runs in evaluation mode (`eval`) and unrecorded; afterwards the model, its buffers and
    the random state are as before.  A module that is used several times has one row.

    Multiply-adds are the products with weights: out·in for each row of a `Linear`,
    kernel·in/groups for each output element of a convolution, kernel·out/groups for each input
    element of a transposed one, in1·in2 for each output element of a `Bilinear`, one for each
    element that a norm scales, all matrices of a recurrent layer for each step; of an attention
    also queries times keys, and weights times values.  What `forward` computes without layers is
    not counted, nor are biases, activations and pooling, which cost little.
    A module of your own reports its work in a method `multiply_adds(inputs, output)`.

    >>> found = nn.summary(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), (1, 3))
     layer   type         output   parameters   multiply-adds
    ──────────────────────────────────────────────────────────
             Sequential   (1, 2)
       0     Linear       (1, 4)           16              12
       1     ReLU         (1, 4)
       2     Linear       (1, 2)           10               8
    26 parameters (0.00 MB), all of them trainable
    20 multiply-adds for each sample
    >>> found.parameters, found.multiply_adds
    (26, 20)
    """
    if not isinstance(model, Module):
        raise DTypeError(f"summary: needs a Module; got {describe(model)}")
    if not inputs and not settings:
        raise ArgumentError(
            "summary: needs what the model is called with, tensors or shapes: "
            "summary(model, (1, 3, 32, 32))"
        )
    arguments = [
        _zeros(x, model, dtype) if _is_shape(x) else x
        for x, dtype in zip(inputs, _dtypes(dtypes, len(inputs)), strict=True)
    ]
    found = _structure(model)
    _run(model, found, arguments, settings)
    found.print()
    return found


def _is_shape(x: Any) -> bool:
    return isinstance(x, tuple | list) and all(type(n) is int for n in x)


def _dtypes(given: Any, count: int) -> list[Any]:
    """The dtype of each input, None for that of the parameters."""
    if not isinstance(given, list | tuple):
        return [given] * count
    if len(given) != count:
        raise ArgumentError(f"summary: there are {count} inputs, but {len(given)} dtypes")
    return list(given)


def _zeros(shape: Any, model: Module, dtype: Any) -> Tensor:
    """Zeros of this shape, on the device and, unless another is given, in the parameters' dtype."""
    like = next((p for p in model.parameters() if p.dtype.kind == "f"), None)
    settings: dict[str, Any] = {} if like is None else {"dtype": like.dtype, "device": like.device}
    settings |= {} if dtype is None else {"dtype": dtype}
    try:
        return zeros(shape, **settings)
    except MinidlError as error:
        raise_explained("summary", (), error)


def _structure(model: Module) -> Summary:
    """The rows of all modules, before the model runs."""
    layers: dict[str, LayerSummary] = {}
    for path, module in model.named_modules():
        depth = layers[_container(path, layers)].depth + 1 if path else 0
        layers[path] = LayerSummary(path, type(module).__name__, depth)
    found = Summary(list(layers.values()))
    for path, parameter in model.named_parameters():
        layers[_container(path, layers)].parameters += parameter.size
        found.parameters += parameter.size
        found.trainable += parameter.size if parameter.requires_grad else 0
        found.parameter_bytes += parameter.size * parameter.dtype.itemsize
    return found


def _container(path: str, modules: Collection[str]) -> str:
    """The path of the innermost module that contains this path."""
    path = path.rpartition(".")[0]
    while path not in modules:
        path = path.rpartition(".")[0]
    return path


def _run(model: Module, found: Summary, inputs: list[Any], settings: dict[str, Any]) -> None:
    """Call the model, and fill the rows with what its modules do."""
    where: list[str] = []  # the error was raised in the first of these
    sequences: list[tuple[int, ...]] = []  # the shapes that time-major layers were given
    with _restored(model), no_grad():
        model.eval()
        for module, row in zip(model.modules(), found.layers, strict=True):
            _observe(module, row, where, sequences)
        try:
            model(*inputs, **settings)
        except MinidlError as error:
            raise type(error)(f"summary: in {where[0]}: {error}") from error
    samples = _samples(inputs, sequences)
    found.multiply_adds = _per_sample(sum(row.multiply_adds for row in found.layers), samples)
    for row in found.layers:
        row.multiply_adds = _per_sample(row.multiply_adds, samples)


def _samples(inputs: list[Any], sequences: list[tuple[int, ...]]) -> int:
    """The number of samples: the first axis of the first input, or its second if it is time-major.

    It is, if a time-major layer gets the same two axes; a single sequence has no second one.
    """
    shapes: list[tuple[int, ...]] = [x.shape for x in inputs if getattr(x, "shape", ())]
    shape = shapes[0] if shapes else (1,)
    for sequence in sequences:
        if len(sequence) == 2 and sequence == shape:
            return 1
        if len(sequence) == 3 and sequence[:2] == shape[:2]:
            return shape[1] or 1
    return shape[0] or 1


def _observe(
    module: Module, row: LayerSummary, where: list[str], sequences: list[tuple[int, ...]]
) -> None:
    """Replace an instance's `forward` by one that records every call in its row."""
    forward = module.forward

    def observed(*inputs: Any, **settings: Any) -> Any:
        try:
            output = forward(*inputs, **settings)
        except MinidlError:
            where.append(f"{row.path or 'the model'} ({row.kind})")
            raise
        if not getattr(module, "batch_first", True) and inputs:
            sequences.append(tuple(getattr(inputs[0], "shape", ())))
        row.calls += 1
        row.output = _shapes(output)
        row.multiply_adds += module.multiply_adds((*inputs, *settings.values()), output)
        return output

    vars(module)["forward"] = observed


@contextmanager
def _restored(model: Module) -> Iterator[None]:
    """Restore the attributes of the modules, and the random state, after the block."""
    before = [(vars(module), dict(vars(module))) for module in model.modules()]
    offset = default_generator.offset
    try:
        yield
    finally:
        default_generator.offset = offset
        for attributes, values in before:
            for name in attributes.keys() - values.keys():
                del attributes[name]
            attributes.update(values)


def _shapes(output: Any) -> Any:
    """The shapes of tensors, in the same tuples, lists and dicts."""
    if isinstance(output, dict):
        return {key: _shapes(value) for key, value in output.items()}
    if isinstance(output, tuple | list):
        return [_shapes(value) for value in output if value is not None]
    return tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__


def _text(shapes: Any) -> str:
    """Shapes as text for the table."""
    if isinstance(shapes, dict):
        return ", ".join(f"{key}: {_text(value)}" for key, value in shapes.items())
    return ", ".join(map(_text, shapes)) if isinstance(shapes, list) else str(shapes)


def _per_sample(total: float, samples: int) -> float:
    """The count per sample; an int if it is whole."""
    return total / samples if total % samples else total // samples


def _count(n: float) -> str:
    return f"{n:,}" if isinstance(n, int) else f"{n:,.1f}"
