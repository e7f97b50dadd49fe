"""The executor `ptx` of the stand-in: CUDA sources compiled by NVRTC, their PTX run on the CPU.

How, is said by the environment, or by `settings` within a process:

MINIDL_PTX_CHECKED=1        report races and uninitialised reads too
MINIDL_PTX_ORDERS=all       run every launch in each order of threads, and compare the bits; but the
                            longest, of which others are like, in one
"""

import gc
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from .errors import PtxError
from .nvrtc import compile_cuda
from .program import ORDERS, Memory, Outcome, Program

_one_at_a_time = threading.Lock()  # a program has one block at work


# Operations and bytes, if they are counted, beyond which a launch is run in one order of threads.
MOST_WORK_IN_ALL_ORDERS = 20_000_000


@dataclass
class Settings:
    """What an execution does beyond computing values; `watch` is told of every launch."""

    checked: bool = os.environ.get("MINIDL_PTX_CHECKED", "") == "1"
    orders: tuple[str, ...] = ORDERS if os.environ.get("MINIDL_PTX_ORDERS") == "all" else ORDERS[:1]
    architecture: str = "compute_80"
    watch: list[Callable[["Launched"], None]] = field(default_factory=list)


settings = Settings()


@dataclass
class Launched:
    """A launch that has happened: what of, how large, what it did, how it failed."""

    kernel: str
    grid: Sequence[int]
    block: Sequence[int]
    outcome: Outcome | None = None
    fault: PtxError | None = None
    same_bits: bool = True  # in every order of threads


@cache
def program(code: str, include: tuple[str, ...], architecture: str, checked: bool) -> Program:
    """The program of a source."""
    options = (*(f"-I{folder}" for folder in include), "-lineinfo")
    return Program(compile_cuda(code, architecture, options).decode(), checked)


class Module:
    """A compiled source; `launch` runs one of its kernels on arrays of NumPy."""

    def __init__(self, code: str, include: tuple[str, ...] = ()) -> None:
        self.code, self.include = code, tuple(include)
        self.kernels = tuple(self.program().kernels)

    def program(self) -> Program:
        """The program under the settings of the moment."""
        return program(self.code, self.include, settings.architecture, settings.checked)

    def launch(self, name: str, grid: Any, block: Any, arguments: Any, shared: int) -> None:
        """Run the kernel; each argument is a NumPy array, a NumPy scalar, or None for no array."""
        values = [None if isinstance(v, np.uintp) and not v else v for v in arguments]
        launched = Launched(name, grid, block)
        try:
            with _one_at_a_time:
                self._run(launched, values, shared)
        except PtxError as fault:
            launched.fault = fault
            raise
        finally:
            for tell in settings.watch:
                tell(launched)

    def _run(self, launched: Launched, values: list[Any], shared: int) -> None:
        arrays = _reachable(values)
        first, *others = settings.orders
        before = [array.copy() for array in arrays] if others else []
        memory = [Memory(a.ctypes.data, a.nbytes) for a in arrays]

        def run(order: str) -> Outcome:
            return self.program().launch(
                launched.kernel,
                launched.grid,
                launched.block,
                values,
                shared=shared,
                memory=memory,
                order=order,
            )

        launched.outcome = run(first)
        if launched.outcome.work > MOST_WORK_IN_ALL_ORDERS:
            return
        after = [array.copy() for array in arrays] if others else []
        for order in others:
            for array, old in zip(arrays, before, strict=True):
                array[...] = old
            run(order)
            pairs = zip(arrays, after, strict=True)
            launched.same_bits &= all(a.tobytes() == b.tobytes() for a, b in pairs)


def _owner(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _reachable(values: list[Any]) -> list[np.ndarray]:
    """What a kernel may touch: its arguments', and if there are structs, all there is."""
    arrays = [v for v in values if isinstance(v, np.ndarray)]
    if any(isinstance(v, np.void) for v in values):
        from tests.cuda.stand_in.arrays import ndarray

        arrays += [x._a for x in gc.get_objects() if type(x) is ndarray]
    owners = {id(o): o for o in map(_owner, arrays) if o.nbytes}
    return list(owners.values())


load = Module
