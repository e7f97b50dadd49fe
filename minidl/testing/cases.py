"""A case: one call of an operation of minidl's, and what minidl says of it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl import linalg, ops
from minidl.autograd.functional import gradients
from minidl.autograd.mode import kernels
from minidl.autograd.tensor import Tensor


def operation(name: str) -> Any:
    """minidl's operation of this name; batch_norm without its statistics."""
    if name == "batch_norm":
        return lambda *arrays, **settings: ops.batch_norm(*arrays, **settings)[0]
    return getattr(ops, name, None) or getattr(linalg, name)


@dataclass
class Case:
    """One call:  name(*arrays, **settings).

    arrays     the arrays by their names, in order; None for one that is left out
    settings   the other arguments
    fixed      the names of those that the caller of `check_against` fixed
    constants  the names of arrays of floats that are not differentiated, as weights of classes
    simplest   by name, what elements may be replaced by to make the case easier to read
    """

    name: str
    arrays: dict[str, np.ndarray | None]
    settings: dict[str, Any]
    fixed: frozenset[str] = frozenset()
    constants: set[str] = field(default_factory=set)
    simplest: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def floats(self) -> list[str]:
        """The names of the arrays that may have a gradient."""
        return [
            n
            for n, a in self.arrays.items()
            if a is not None and a.dtype.kind == "f" and n not in self.constants
        ]

    def inputs(self) -> list[Any]:
        """The arrays in order; those at the end that were fixed to None are left out."""
        given = list(self.arrays.items())
        while given and given[-1][1] is None and given[-1][0] in self.fixed:
            given.pop()
        return [a for _, a in given]


@dataclass
class Answer:
    """What a function gives for a case.

    outputs     its values
    gradients   by argument; None where there is none, and {} if none were asked for
    seeds       the gradients of the outputs that were carried back
    """

    outputs: list[np.ndarray]
    gradients: dict[str, np.ndarray | None]
    seeds: list[np.ndarray | None]


def seed(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The gradient of an output: 1, 2, …, 7, 1, 2, …, easy to follow by eye, but not all alike."""
    return (np.arange(np.prod(shape, dtype=int)) % 7 + 1).reshape(shape).astype(dtype)


def as_list(value: Any) -> list[Any]:
    """The outputs of a function that gives one or several."""
    return list(value) if isinstance(value, tuple | list) else [value]


def reference(case: Case) -> tuple[Answer, list[np.dtype]]:
    """What minidl says, computed in float64; and the dtypes of its outputs for the case's own.

    The operations' bodies run, which are the formulas, not the kernels.
    """
    function = operation(case.name)
    with kernels("reference"):
        native = as_list(function(*map(_tensor, case.arrays.values()), **case.settings))
        wide = {n: _tensor(_widened(a)) for n, a in case.arrays.items()}
        leaves = [wide[n].requires_grad_() for n in case.floats]
        outputs = as_list(function(*wide.values(), **case.settings))
        seeds = [None if y.edge is None else seed(y.shape, "float64") for y in outputs]
        found = _gradients(case, outputs, seeds, leaves)
    answer = Answer([np.asarray(y.detach()) for y in outputs], found, seeds)
    return answer, [np.dtype(y.dtype) for y in native]


def _gradients(
    case: Case, outputs: list[Tensor], seeds: list[np.ndarray | None], leaves: list[Tensor]
) -> dict[str, np.ndarray | None]:
    """Those of the arrays of floats; none if no output has a derivative."""
    pairs = [(y, dy) for y, dy in zip(outputs, seeds, strict=True) if dy is not None]
    if not pairs:
        return {}
    found = gradients([y for y, _ in pairs], leaves, [dy for _, dy in pairs], allow_unused=True)
    return {
        n: np.zeros(x.shape) if g is None else np.asarray(g)
        for n, x, g in zip(case.floats, leaves, found, strict=True)
    }


def _widened(array: np.ndarray | None) -> np.ndarray | None:
    floats = array is not None and array.dtype.kind == "f"
    return array.astype("float64") if floats else array


def _tensor(array: np.ndarray | None) -> Tensor | None:
    return None if array is None else ops.tensor(array)
