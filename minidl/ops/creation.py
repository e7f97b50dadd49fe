"""Creation of tensors.

Every function takes `dtype` (default: float32 for reals), `device` (default: that which
`set_default_device` sets, "cpu"), and `requires_grad`, which makes the tensor a leaf in which
`backward` leaves a gradient.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import dtypes
from minidl.autograd.tensor import Tensor
from minidl.backends.device import default_device
from minidl.backends.registry import create
from minidl.checks import check_flags
from minidl.errors import (
    ArgumentError,
    DTypeError,
    ProtocolError,
    describe,
    named,
    takes_one_shape,
)
from minidl.ops import array_object, manipulation, reading, spacing


@named
def asarray(
    obj: Any,
    /,
    *,
    dtype: Any = None,
    device: str | None = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of numbers, nested lists, an array of any library, or a tensor.

    It shares the memory of an array if possible: a write into one shows in the other, and is not
    detected by in-place safety.

    copy      True: always; False: ArgumentError if memory cannot be shared; None: if needed
    raises    DTypeError for anything but numbers, or for numbers that overflow an integer dtype,
              ShapeError for ragged lists, GradientError for lists of tensors that require
              gradients, which `stack` keeps

    >>> a = np.zeros(3)
    >>> x = minidl.asarray(a)
    >>> a[0] = 7
    >>> x
    Tensor([7., 0., 0.], float64)
    >>> minidl.asarray([1, 2.5])
    Tensor([1. , 2.5], float32)
    """
    check_flags("asarray", copy=copy is not None and copy)
    if isinstance(obj, list | tuple):
        reading.refuse_gradients("a list", obj, "stack the tensors, or")
    return _asarray(obj, dtype, device, copy, requires_grad)


def _asarray(
    obj: Any,
    dtype: Any = None,
    device: str | None = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """The common part of asarray, tensor and others; errors get the name of the public one."""
    dtype = None if dtype is None else dtypes.dtype_of(dtype)
    x = obj if isinstance(obj, Tensor) else Tensor(reading.array(obj, dtype))
    result = x
    if dtype is not None and x.dtype != dtype:
        result = manipulation.astype(result, dtype)
    if device is None and x is not obj and x.device == "cpu":
        device = default_device()  # what is on another device stays there
    if device is not None:
        result = manipulation.to_device(result, device)
    if copy is False and (result is not x or not reading.shares(x, obj)):
        raise ArgumentError(
            f"{describe(obj)} as {result.dtype} on {result.device!r} needs a copy, which "
            "copy=False forbids"
        )
    if copy and result is x and not reading.is_new(obj):
        result = manipulation.copy(x)
    return result.requires_grad_(requires_grad) if requires_grad else result


@named
def tensor(
    data: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A new tensor with its own memory and no history, from numbers, nested lists or an array.

    raises    DTypeError for anything but numbers, or for numbers that overflow an integer dtype,
              ShapeError for ragged lists

    >>> minidl.tensor([[1, 2], [3, 4]])
    Tensor([[1, 2],
            [3, 4]], shape=(2, 2), int64)
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> (x**2).sum().backward()
    >>> x.grad
    Tensor([2., 4.], float32)
    """
    own = data.detach() if isinstance(data, Tensor) else data
    return _asarray(own, dtype, device, True, requires_grad)


@named
def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of another library's array, through the DLPack protocol.

    Writes by the other library show here, and are not detected by in-place safety.  Read-only
    memory (JAX's, some of NumPy's) cannot be written here.

    copy      True: always; False: never; None: if needed
    raises    InterchangeError for arrays that their library does not export, as PyTorch's tensors
              that require a gradient (detach() first), or of unsupported dtypes, as bfloat16;
              ProtocolError for objects without `__dlpack__`

    >>> a = np.arange(3.0)
    >>> x = minidl.from_dlpack(a)
    >>> a[0] = 9
    >>> x
    Tensor([9., 1., 2.], float64)
    """
    check_flags("from_dlpack", copy=copy is not None and copy)
    if not hasattr(x, "__dlpack__"):
        raise ProtocolError(f"needs an array that has __dlpack__; got {describe(x)}")
    if isinstance(x, Tensor):
        return _asarray(array_object.exportable(x).detach(), None, device, copy)
    return _asarray(Tensor(reading.imported(x, copy)), None, device, copy)


@named
def full(
    shape: int | Sequence[int],
    fill_value: bool | int | float | complex,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Filled with `fill_value`, whose kind determines the dtype: bool, int64, float32 or complex64.

    raises    ShapeError unless `shape` is one length or several, DTypeError if the number does not
              fit into `dtype`

    >>> minidl.full((2, 3), 7)
    Tensor([[7, 7, 7],
            [7, 7, 7]], shape=(2, 3), int64)
    >>> minidl.full(2, 0.5)
    Tensor([0.5, 0.5], float32)
    """
    return _full(shape, fill_value, dtype, device, requires_grad)


def _full(
    shape: int | Sequence[int],
    fill_value: Any,
    dtype: Any,
    device: str | None,
    requires_grad: bool = False,
) -> Tensor:
    """The common part of full, zeros and others; errors get the name of the public one."""
    fill_value = reading.number("fill_value", fill_value)
    dtype = dtypes.result_type(fill_value) if dtype is None else dtypes.dtype_of(dtype)
    if fill_value not in (0, 1):  # rounded here once: NumPy rounds integers to float64 first
        fill_value = reading.read(np.asarray(fill_value), dtype).item()
    array = create(device, "full", reading.shape(shape), fill_value, dtype=dtype)
    return Tensor(array).requires_grad_(requires_grad)


@takes_one_shape
def zeros(
    shape: int | Sequence[int],
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros.

    >>> minidl.zeros((2, 3))
    Tensor([[0., 0., 0.],
            [0., 0., 0.]], shape=(2, 3), float32)
    """
    dtype = dtype or dtypes.default_float
    return _full(shape, 0, dtype, device, requires_grad)


@takes_one_shape
def ones(
    shape: int | Sequence[int],
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones.

    >>> minidl.ones(3, dtype="int64")
    Tensor([1, 1, 1], int64)
    """
    dtype = dtype or dtypes.default_float
    return _full(shape, 1, dtype, device, requires_grad)


@takes_one_shape
def empty(
    shape: int | Sequence[int],
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros: no tensor exposes uninitialised memory.

    >>> minidl.empty(2)
    Tensor([0., 0.], float32)
    """
    dtype = dtype or dtypes.default_float
    return _full(shape, 0, dtype, device, requires_grad)


@named
def full_like(
    x: Tensor,
    /,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Filled with `fill_value`, in the shape, dtype and device of x.

    >>> minidl.full_like(minidl.tensor([1.5, 2.5]), 7)
    Tensor([7., 7.], float32)
    """
    return _full_like(x, fill_value, dtype, device, requires_grad)


def _full_like(
    x: Any, fill_value: Any, dtype: Any, device: str | None, requires_grad: bool
) -> Tensor:
    x = _asarray(x)
    return _full(x.shape, fill_value, dtype or x.dtype, device or x.device, requires_grad)


@named
def zeros_like(
    x: Tensor,
    /,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros in the shape, dtype and device of x.

    >>> minidl.zeros_like(minidl.tensor([[1, 2], [3, 4]]))
    Tensor([[0, 0],
            [0, 0]], shape=(2, 2), int64)
    """
    return _full_like(x, 0, dtype, device, requires_grad)


@named
def empty_like(
    x: Tensor,
    /,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros in the shape, dtype and device of x: no tensor exposes uninitialised memory.

    >>> minidl.empty_like(minidl.tensor([1, 2]))
    Tensor([0, 0], int64)
    """
    return _full_like(x, 0, dtype, device, requires_grad)


@named
def ones_like(
    x: Tensor,
    /,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones in the shape, dtype and device of x.

    >>> minidl.ones_like(minidl.tensor([1.5, 2.5]), dtype="bool")
    Tensor([ True,  True], bool)
    """
    return _full_like(x, 1, dtype, device, requires_grad)


@named
def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, … below stop; from 0 if only stop is given.

    Integers are exact; if one of them is a float, start + i·step is rounded once to float64, and
    then to the dtype, which is int64 for integers, else float32.  Raises ArgumentError for a
    step of 0, DTypeError if a number does not fit into an integer dtype.

    >>> minidl.arange(5)
    Tensor([0, 1, 2, 3, 4], int64)
    >>> minidl.arange(1, 0, -0.25)
    Tensor([1.  , 0.75, 0.5 , 0.25], float32)
    """
    if stop is None:
        start, stop = 0, start
    names = ("start", "stop", "step")
    numbers: tuple[Any, ...] = tuple(map(reading.number, names, (start, stop, step)))
    if not numbers[2] or not all(map(math.isfinite, numbers)):
        raise ArgumentError(f"needs finite numbers and a step that is not 0; got {numbers}")
    dtype = dtypes.result_type(*numbers) if dtype is None else dtypes.dtype_of(dtype)
    if dtype.kind == "b":
        raise DTypeError("a range is made of numbers; got dtype bool")
    device = device or default_device()
    if device != "cpu" and dtype.kind in "iu" and all(type(n) is int for n in numbers):
        reading.read(spacing.ends(*numbers), dtype)  # an error if it does not fit
        array = create(device, "arange", *numbers, dtype=dtype)  # nothing is sent there
        return Tensor(array).requires_grad_(requires_grad)
    values = reading.read(spacing.steps(*numbers), dtype)
    return _asarray(values, None, device, None, requires_grad)


@named
def linspace(
    start: float,
    stop: float,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: str | None = None,
    endpoint: bool = True,
    requires_grad: bool = False,
) -> Tensor:
    """`num` equally spaced numbers from start to stop.

    endpoint    False: stop is excluded, and would be the next
    dtype       of integers: each number is rounded down, as in NumPy

    >>> minidl.linspace(0, 1, 5)
    Tensor([0.  , 0.25, 0.5 , 0.75, 1.  ], float32)
    >>> minidl.linspace(0, 1, 4, endpoint=False)
    Tensor([0.  , 0.25, 0.5 , 0.75], float32)
    """
    check_flags("linspace", endpoint=endpoint)
    ends = reading.number("start", start), reading.number("stop", stop)
    (length,) = reading.shape(num)
    dtype = dtypes.dtype_of(dtype or dtypes.result_type(dtypes.default_float, *ends))
    intervals = length - 1 if endpoint else length
    if dtype.kind in "iu":
        values = spacing.equal_integers(*ends, length, intervals)
    else:
        values = spacing.equal(*ends, length, intervals)
    return _asarray(reading.read(values, dtype), None, device, None, requires_grad)


@named
def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """1 on the k-th diagonal, 0 elsewhere; above the main diagonal, k is positive.

    >>> minidl.eye(2, 3, k=1)
    Tensor([[0., 1., 0.],
            [0., 0., 1.]], shape=(2, 3), float32)
    """
    dtype = dtypes.default_float if dtype is None else dtype
    (rows,), (columns,) = map(reading.shape, (n_rows, n_rows if n_cols is None else n_cols))
    values = np.eye(rows, columns, k)
    return _asarray(values, dtype, device, None, requires_grad)
