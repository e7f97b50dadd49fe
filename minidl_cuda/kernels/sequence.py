"""What the recurrent kernels share: which arguments they take, what is saved, the way back."""

from collections.abc import Callable
from typing import Any, NamedTuple

import cupy
import numpy as np

from minidl.backends.mode import current
from minidl.backends.recurrent import shapes_fit
from minidl_cuda.array import Array
from minidl_cuda.kernels.guard import are_arrays, blocks, contiguous
from minidl_cuda.launch import Kernel, Module
from minidl_cuda.products import precise_matmul
from minidl_cuda.reductions import sum as sum_over

Gradients = tuple[Array | None, ...]

_THREADS = 256
_MOST = 2**31 - 1  # elements of x and of the gates
module = Module("recurrent.cu")
_masked_rows = module.kernel("masked_rows_f32")


def launch(kernel: Kernel, rows: int, size: int, *arguments: Any) -> None:
    """Launch a kernel that has a thread for each element of a state (rows, size).

    Its parameters are the arrays, the two sizes, and the settings: a tuple, the last argument.
    """
    shape = np.int32(rows), np.int32(size)
    kernel(blocks(rows * size, _THREADS), _THREADS, (*arguments[:-1], *shape, *arguments[-1]))


class Sequence(NamedTuple):
    """A call: its arrays, contiguous, and all states.

    x         (T, N, in); with a mask, 0 where there is no step
    states    (T + 1, N, out), the one before the first step included; or, if nothing is recorded
              and y is apart, two, which take turns
    y         (T, N, out): the states after the steps; with a mask, apart from them
    """

    x: Array
    weight_ih: Array
    weight_hh: Array
    biases: tuple[Array | None, Array | None]
    mask: Array | None
    reverse: bool
    recorded: bool
    states: Array
    y: Array

    @property
    def rows(self) -> int:
        """N."""
        return self.x.shape[1]

    def steps(self) -> list[tuple[int, int, int]]:
        """Of each step, in the order of time: t, and the numbers of the states before and after."""
        length = len(self.x)
        if self.reverse:
            return [(t, t + 1, t) for t in reversed(range(length))]
        return [(t, t, t + 1) for t in range(length)]

    def mask_of(self, t: int) -> Array | None:
        """Which sequences have a step t."""
        return None if self.mask is None else self.mask[t]

    def y_of(self, t: int) -> Array | None:
        """Where to write y, if that is apart from the states."""
        return None if self.mask is None else self.y[t]

    def inputs(self) -> Array:
        """W_ih·x of all steps."""
        length, rows, size = self.x.shape
        products = self.x.reshape((length * rows, size)) @ self.weight_ih.T
        return products.reshape((length, rows, -1))

    def last(self, states: Array) -> Array:
        """A copy of the state after the last step."""
        return states[(0 if self.reverse else len(self.x)) % len(states)].copy()

    def masked(self, x: Array) -> Array:
        """x (T, N, …), 0 where there is no step, in rows (T·N, …)."""
        x = x.reshape((-1, x.shape[2]))
        return x if self.mask is None else _masked(x, self.mask)


def _masked(x: Array, mask: Array) -> Array:
    result = cupy.empty(x.shape, np.float32)
    launch(_masked_rows, *x.shape, x, mask, result, ())
    return result


def sequence(
    gates: int,
    x: Any,
    h: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    mask: Any,
    reverse: Any,
    c: Any = None,
    weight_hr: Any = None,
) -> Sequence | None:
    """The call with these arguments, before it runs; None if the kernels are not for them."""
    arrays = x, h, weight_ih, weight_hh
    if any(array is None for array in arrays) or type(reverse) is not bool:
        return None
    if not are_arrays("f", *arrays, bias_ih, bias_hh, c, weight_hr):
        return None
    if mask is not None and (type(mask) is not cupy.ndarray or mask.dtype.char != "?"):
        return None
    if not shapes_fit(gates, *arrays, bias_ih, bias_hh, mask, c, weight_hr):
        return None
    if x.shape[0] * x.shape[1] * max(x.shape[2], weight_ih.shape[0]) > _MOST:
        return None
    recorded = current.get().record
    x, weight_ih, weight_hh = map(cupy.ascontiguousarray, (x, weight_ih, weight_hh))
    states = saved_states(h, len(x), reverse, recorded or mask is None)
    y = states[:-1] if reverse else states[1:]
    if mask is not None:
        mask = cupy.ascontiguousarray(mask)
        y = cupy.empty((*x.shape[:2], h.shape[1]), np.float32)
        x = _masked(x.reshape((-1, x.shape[2])), mask).reshape(x.shape)
    biases = contiguous(bias_ih), contiguous(bias_hh)
    return Sequence(x, weight_ih, weight_hh, biases, mask, reverse, recorded, states, y)


def saved_states(initial: Array, length: int, reverse: bool, all_of_them: bool) -> Array:
    """Memory for the states before and after all steps, or for two, with the first."""
    slots = length + 1 if all_of_them else 2
    states = cupy.empty((slots, *initial.shape), np.float32)
    states[(length if reverse else 0) % slots] = initial
    return states


def backward(
    at: Sequence,
    dy: Array | None,
    dh: Array,
    dgates: Array,
    carries: bool,
    step: Callable[..., None],
) -> Array:
    """dh of the state before all steps, after `step` went back through each.

    step    step(t, before, after, product, carry, dy): writes dgates[t] from dh, the sum of
            `product`, what was carried over the step behind, and dy; carries what passes by
    """
    dy = None if dy is None else cupy.ascontiguousarray(dy)
    product, own = cupy.ascontiguousarray(dh), cupy.empty(dh.shape, np.float32)
    carry = cupy.zeros(dh.shape, np.float32) if carries else None
    for t, before, after in reversed(at.steps()):
        step(t, before, after, product, carry, None if dy is None else dy[t])
        product = cupy.matmul(dgates[t], at.weight_hh, out=own)
    return product if carry is None else product + carry


def gradients(
    at: Sequence, of_x: Array, of_h: Array, needed: tuple[bool, ...], first: int
) -> Gradients:
    """dx, dW_ih, dW_hh, db_ih and db_hh, from the gradients of W_ih·x and W_hh·h of all steps.

    first    the position of weight_ih among the arguments
    """
    rows_x, rows_h = (d.reshape((-1, d.shape[2])) for d in (of_x, of_h))
    dx = dw_ih = dw_hh = db_ih = db_hh = None
    if needed[0]:
        dx = at.masked((rows_x @ at.weight_ih).reshape(at.x.shape)).reshape(at.x.shape)
    if needed[first]:
        dw_ih = precise_matmul(rows_x.T, at.x.reshape((-1, at.x.shape[2])))
    if needed[first + 1]:
        before = at.states[1:] if at.reverse else at.states[:-1]
        dw_hh = precise_matmul(rows_h.T, at.masked(before))
    if needed[first + 2]:
        db_ih = sum_over(rows_x, axis=0)
    if needed[first + 3]:
        same = of_h is of_x and db_ih is not None
        db_hh = db_ih if same else sum_over(rows_h, axis=0)
    return dx, dw_ih, dw_hh, db_ih, db_hh
