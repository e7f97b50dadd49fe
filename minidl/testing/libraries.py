"""Adapters that call functions of other libraries' arrays.

A library is imported when it is first used.  Arrays are exchanged through DLPack, the protocol by
which array libraries share memory, as contiguous copies, since libraries differ in the strides that
they support.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from minidl import ops
from minidl.autograd.functional import gradients
from minidl.errors import ArgumentError
from minidl.testing.cases import Case, Result, as_list


class NumPy:
    """Functions of NumPy arrays, with gradients if the user has a function for them."""

    name = "numpy"
    differentiates = False

    def context(self) -> AbstractContextManager:
        """The context that calls run in."""
        return nullcontext()

    def array(self, array: np.ndarray) -> Any:
        """The array as one of the library's."""
        return array

    def numpy(self, value: Any) -> np.ndarray:
        """A result of the function as a NumPy array."""
        return np.asarray(value)

    def call(
        self,
        function: Callable[..., Any],
        case: Case,
        settings: dict,
        seeds: Sequence[np.ndarray | None] | None,
    ) -> Result:
        """The result of a function for a case, with gradients if there are seeds."""
        inputs = [None if a is None else self.array(a) for a in case.inputs()]
        outputs = as_list(function(*inputs, **settings))
        return Result([self.numpy(y) for y in outputs], {}, [])

    def call_gradient(
        self,
        gradient: Callable[..., Any],
        case: Case,
        settings: dict,
        seeds: Sequence[np.ndarray | None],
    ) -> dict[str, np.ndarray | None]:
        """The result of the user's own gradient(dy, *arrays, **settings), by argument."""
        dys = [self.array(dy) for dy in seeds if dy is not None]
        inputs = [None if a is None else self.array(a) for a in case.inputs()]
        found = gradient(dys[0] if len(dys) == 1 else tuple(dys), *inputs, **settings)
        found = list(found) if isinstance(found, tuple | list) else [found]
        given = list(case.arrays)[: len(inputs)]
        names = given if len(found) == len(given) else case.floats
        if len(found) != len(names):
            raise TypeError(
                f"gradient gave {len(found)} results; needs one for each of {', '.join(names)}, "
                "None for those it leaves out"
            )
        return {
            n: None if g is None else self.numpy(g)
            for n, g in zip(names, found, strict=True)
            if n in case.floats
        }


class Minidl(NumPy):
    """Functions of minidl's tensors."""

    name = "minidl"
    differentiates = True

    def array(self, array: np.ndarray) -> Any:
        return ops.tensor(array)

    def numpy(self, value: Any) -> np.ndarray:
        return np.asarray(value.detach() if hasattr(value, "detach") else value)

    def leaf(self, array: np.ndarray) -> Any:
        """A tensor that requires a gradient."""
        return ops.tensor(array, requires_grad=True)

    def gradients(self, outputs: Any, leaves: Any, dys: Any) -> Any:
        """Σ dy·d(output)/d(leaf); None for leaves that no output depends on."""
        return gradients(outputs, leaves, dys, allow_unused=True)

    def call(
        self,
        function: Callable[..., Any],
        case: Case,
        settings: dict,
        seeds: Sequence[np.ndarray | None] | None,
    ) -> Result:
        if seeds is None:
            return super().call(function, case, settings, None)
        leaves, inputs = {}, []
        for name, a in zip(case.arrays, case.inputs(), strict=False):
            if name in case.floats:
                leaves[name] = self.leaf(a)
            inputs.append(leaves.get(name, None if a is None else self.array(a)))
        outputs = as_list(function(*inputs, **settings))
        pairs = [
            (y, self.array(dy))
            for y, dy in zip(outputs, seeds, strict=False)
            if dy is not None and getattr(y, "requires_grad", False)
            if tuple(y.shape) == dy.shape
        ]
        found = dict.fromkeys(leaves)
        if pairs:
            ys, dys = [y for y, _ in pairs], [self.like(dy, y) for y, dy in pairs]
            grads = self.gradients(ys, list(leaves.values()), dys)
            found = dict(zip(leaves, grads, strict=True))
        arrays = {n: None if g is None else self.numpy(g) for n, g in found.items()}
        return Result([self.numpy(y) for y in outputs], arrays, [])

    def like(self, dy: Any, y: Any) -> Any:
        """dy in the dtype and on the device of y."""
        return dy.astype(y.dtype)


class Torch(Minidl):
    """Functions of PyTorch's tensors, differentiated by its autograd."""

    name = "torch"

    def __init__(self, library: ModuleType) -> None:
        self.library = library

    def array(self, array: np.ndarray) -> Any:
        return self.library.from_dlpack(np.array(array, order="C"))

    def numpy(self, value: Any) -> np.ndarray:
        if not isinstance(value, self.library.Tensor):
            return np.asarray(value)
        value = value.detach().resolve_neg().cpu()
        return np.array(np.from_dlpack(value.contiguous()))

    def leaf(self, array: np.ndarray) -> Any:
        return self.array(array).requires_grad_()

    def gradients(self, outputs: Any, leaves: Any, dys: Any) -> Any:
        return self.library.autograd.grad(outputs, leaves, dys, allow_unused=True)

    def like(self, dy: Any, y: Any) -> Any:
        return dy.to(dtype=y.dtype, device=y.device)


class Jax(NumPy):
    """Functions of JAX's arrays, differentiated by jax.vjp; float64 is enabled during calls."""

    name = "jax"
    differentiates = True

    def __init__(self, library: ModuleType) -> None:
        self.library = library
        self.numeric = import_module(library.__name__ + ".numpy")

    def context(self) -> AbstractContextManager:
        if hasattr(self.library, "enable_x64"):
            return self.library.enable_x64(True)
        return import_module(self.library.__name__ + ".experimental").enable_x64()  # before 0.8

    def array(self, array: np.ndarray) -> Any:
        return self.numeric.from_dlpack(np.array(array, order="C"))

    def numpy(self, value: Any) -> np.ndarray:
        return np.array(np.from_dlpack(value) if hasattr(value, "__dlpack__") else value)

    def call(
        self,
        function: Callable[..., Any],
        case: Case,
        settings: dict,
        seeds: Sequence[np.ndarray | None] | None,
    ) -> Result:
        if seeds is None:
            return super().call(function, case, settings, None)
        names = [n for n, _ in zip(case.arrays, case.inputs(), strict=False)]
        inputs = [None if a is None else self.array(a) for a in case.inputs()]
        positions = [i for i, n in enumerate(names) if n in case.floats]

        def of_floats(*floats: Any) -> list[Any]:
            filled = list(inputs)
            for i, x in zip(positions, floats, strict=True):
                filled[i] = x
            return as_list(function(*filled, **settings))

        outputs, pullback = self.library.vjp(of_floats, *(inputs[i] for i in positions))
        fitting = len(seeds) == len(outputs) and all(
            dy is None or dy.shape == y.shape for y, dy in zip(outputs, seeds, strict=True)
        )
        found: dict[str, np.ndarray | None] = {}
        if fitting:
            dys = [self.cotangent(y, dy) for y, dy in zip(outputs, seeds, strict=True)]
            found = {names[i]: self.numpy(g) for i, g in zip(positions, pullback(dys), strict=True)}
        return Result([self.numpy(y) for y in outputs], found, [])

    def cotangent(self, y: Any, dy: np.ndarray | None) -> Any:
        """The gradient of an output in the dtype that JAX requires: float0 for integers."""
        if not self.numeric.issubdtype(y.dtype, self.numeric.floating):
            return np.zeros(y.shape, dtype=self.library.dtypes.float0)
        return self.array(np.zeros(y.shape) if dy is None else dy).astype(y.dtype)


class CuPy(NumPy):
    """Functions of CuPy's arrays, on a GPU; gradients as for NumPy."""

    name = "cupy"

    def __init__(self, library: ModuleType) -> None:
        self.library = library

    def array(self, array: np.ndarray) -> Any:
        return self.library.asarray(array)

    def numpy(self, value: Any) -> np.ndarray:
        return np.asarray(self.library.asnumpy(value))


LIBRARIES = {"numpy": NumPy, "torch": Torch, "jax": Jax, "cupy": CuPy, "minidl": Minidl}


def library_of(function: Callable[..., Any], name: str | None) -> NumPy:
    """The adapter of this name; by default, of the library that the function uses.

    That is the first of PyTorch, JAX, CuPy and minidl that the function, or a global name in its
    code, comes from; else NumPy.
    """
    name = guess(function) if name is None else name
    if name not in LIBRARIES:
        raise ArgumentError(
            f"check_against: library={name!r}; needs one of {', '.join(map(repr, LIBRARIES))}"
        )
    if name in ("numpy", "minidl"):
        return LIBRARIES[name]()
    try:
        library = import_module(name)
    except ImportError as error:
        raise ArgumentError(
            f"check_against: library={name!r} cannot be imported: {error}"
        ) from error
    return LIBRARIES[name](library)


def guess(function: Callable[..., Any]) -> str:
    """The name of the library that a function uses, judged by the names in its code."""
    roots = set(_roots(function))
    return next((n for n in ("torch", "jax", "cupy", "minidl") if n in roots), "numpy")


def _roots(function: Any) -> Iterator[str]:
    """The packages that a function and the global names in its code come from."""
    while isinstance(function, functools.partial):
        function = function.func
    yield from _packages(function)
    function = getattr(function, "__wrapped__", function)
    yield from _packages(function)
    code = getattr(function, "__code__", None)
    if code is not None:
        scope = {**function.__globals__, **_enclosed(function)}
        for name in code.co_names + code.co_freevars:
            if name in scope:
                yield from _packages(scope[name])


def _enclosed(function: Any) -> dict[str, Any]:
    """The variables that a function captures from the functions around it."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells if cell != type(cell)()}


def _packages(value: Any) -> Iterator[str]:
    """The packages of a module, or of a value and its type."""
    for owner in (value, type(value)):
        key = "__name__" if isinstance(owner, ModuleType) else "__module__"
        name = getattr(owner, key, None)
        if isinstance(name, str):
            yield name.split(".")[0].replace("jaxlib", "jax")
