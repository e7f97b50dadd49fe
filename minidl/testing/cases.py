"""A test case, one call of an operation, and its reference result."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl import linalg, ops
from minidl.autograd.functional import gradients
from minidl.autograd.mode import kernels
from minidl.autograd.tensor import Tensor


def operation(name: str) -> Any:
    """The operation of this name; batch_norm without its statistics."""
    if name == "batch_norm":
        return lambda *arrays, **settings: ops.batch_norm(*arrays, **settings)[0]
    return getattr(ops, name, None) or getattr(linalg, name)


@dataclass
class Case:
    """One call:  name(*arrays, **settings).

    arrays     the array arguments by name, in order; None for an optional one that is omitted
    settings   the other arguments
    fixed      the names of the arguments that the caller of `check_against` fixed
    constants  the names of float arrays that are not differentiated, such as class weights
    simplest   by name, the values that elements may be replaced by to simplify the case
    """

    name: str
    arrays: dict[str, np.ndarray | None]
    settings: dict[str, Any]
    fixed: frozenset[str] = frozenset()
    constants: set[str] = field(default_factory=set)
    simplest: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def floats(self) -> list[str]:
        """The names of the arrays that are differentiated."""
        return [
            n
            for n, a in self.arrays.items()
            if a is not None and a.dtype.kind == "f" and n not in self.constants
        ]

    def inputs(self) -> list[Any]:
        """The arrays in order, without trailing ones that were fixed to None."""
        arrays = list(self.arrays.items())
        while arrays and arrays[-1][1] is None and arrays[-1][0] in self.fixed:
            arrays.pop()
        return [a for _, a in arrays]

    def array(self, name: str) -> np.ndarray:
        """The array of this name, one that is not omitted."""
        array = self.arrays[name]
        assert array is not None
        return array


@dataclass
class Result:
    """The result of a function for a case.

    outputs     its values
    gradients   by argument; None where there is none, and {} if none were computed
    seeds       the gradients of the outputs that were propagated back
    """

    outputs: list[np.ndarray]
    gradients: dict[str, np.ndarray | None]
    seeds: list[np.ndarray | None]


def seed(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The gradient of an output: 1, 2, …, 7, 1, 2, …, easy to read and different by element."""
    return (np.arange(np.prod(shape, dtype=int)) % 7 + 1).reshape(shape).astype(dtype)


def as_list(value: Any) -> list[Any]:
    """The outputs of a function, which returns one or several."""
    return list(value) if isinstance(value, tuple | list) else [value]


def reference(case: Case) -> tuple[Result, list[np.dtype]]:
    """minidl's result, computed in float64, and the dtypes that the outputs should have.

    The bodies of the operations are run, which are the formulas, not the kernels.
    """
    function = operation(case.name)
    with kernels("reference"):
        native = as_list(function(*map(_tensor, case.arrays.values()), **case.settings))
        wide = {n: _tensor(_as_float64(a)) for n, a in case.arrays.items()}
        leaves = [x.requires_grad_() for n in case.floats if (x := wide[n]) is not None]
        outputs = as_list(function(*wide.values(), **case.settings))
        seeds = [None if y.edge is None else seed(y.shape, "float64") for y in outputs]
        grads = _gradients(case, outputs, seeds, leaves)
    result = Result([np.asarray(y.detach()) for y in outputs], grads, seeds)
    return result, [np.dtype(y.dtype) for y in native]


def _gradients(
    case: Case, outputs: list[Tensor], seeds: list[np.ndarray | None], leaves: list[Tensor]
) -> dict[str, np.ndarray | None]:
    """The gradients with respect to the float arrays; none if no output is differentiable."""
    pairs = [(y, dy) for y, dy in zip(outputs, seeds, strict=True) if dy is not None]
    if not pairs:
        return {}
    grads = gradients([y for y, _ in pairs], leaves, [dy for _, dy in pairs], allow_unused=True)
    return {
        n: np.zeros(x.shape) if g is None else np.asarray(g)
        for n, x, g in zip(case.floats, leaves, grads, strict=True)
    }


def _as_float64(array: np.ndarray | None) -> np.ndarray | None:
    return array.astype("float64") if array is not None and array.dtype.kind == "f" else array


def _tensor(array: np.ndarray | None) -> Tensor | None:
    return None if array is None else ops.tensor(array)
