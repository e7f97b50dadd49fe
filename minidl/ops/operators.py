"""The operators and methods of Tensor, and in-place writes."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from weakref import ref

from minidl.autograd import inplace
from minidl.autograd.checkpoint import before_write
from minidl.autograd.mode import current
from minidl.autograd.tensor import Tensor
from minidl.backends import backend_of, registry
from minidl.backends.registry import on_device_of
from minidl.errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    GradientError,
    ShapeError,
    describe,
    named,
)
from minidl.ops import (
    arithmetic,
    arrangement,
    bitwise,
    comparison,
    complex_numbers,
    creation,
    cumulative,
    elementwise,
    exponential,
    indexing,
    manipulation,
    nan_reduction,
    reduction,
    scatter,
    searching,
    sets,
    sorting,
    special,
    splitting,
    statistics,
    trigonometry,
)
from minidl.ops.linear_algebra import matrix, products
from minidl.ops.nn import activation, softmax


def _reflected(operation: Callable) -> Callable:
    """The reflected operator, as in `2 - x`."""
    return lambda x, other: operation(other, x)


def _in_place(operation: Callable) -> Callable:
    """The in-place operator, as in `x += y`."""

    def write(x: Tensor, other: Any) -> Tensor:
        result = operation(x, other)
        if result.shape != x.shape:
            raise ShapeError(
                f"{operation.__name__} in place: the result has shape {result.shape}, which does "
                f"not fit into {x.shape}"
            )
        if result.dtype.kind != x.dtype.kind and "biufc".index(result.dtype.kind) > 2:
            raise DTypeError(
                f"{operation.__name__} in place: the result is {result.dtype}, which does not fit "
                f"into {x.dtype}; astype it first"
            )
        before = x.data
        _write(x, result.astype(x.dtype) if result.dtype != x.dtype else result, ...)
        if x.data is not before:
            _last_update.set((ref(x), backend_of(before).location(before)))
        return x

    return write


@named
def _setitem(x: Tensor, index: Any, values: Any) -> None:
    """x[index] = values, in the dtype of x."""
    index = indexing.array_index(index, x)
    if inplace.superseded:
        _finish_update(x, index, values)
    device = None if isinstance(values, Tensor) else x.device
    _write(x, creation._asarray(values, x.dtype, device), index)


# Python runs x[i] += y in three steps: view = x[i]; view += y; x[i] = view.  If the second is
# recorded, the view gets a new array, and x is superseded until the third.
_last_update: ContextVar[tuple] = ContextVar("minidl last update", default=(lambda: None, None))


def _finish_update(x: Tensor, index: Any, values: Any) -> None:
    """Allow the write if `values` was the view x[index] until it was written itself."""
    view, location = _last_update.get()
    if values is not view() or location is None:
        return
    try:
        same = backend_of(x.data).location(x.data[index]) == location
    except (IndexError, TypeError):
        return  # the write itself will raise
    if same:
        inplace.superseded.pop(id(inplace.buffer_of(x.data)), None)


def _write(x: Tensor, values: Tensor, index: Any) -> None:
    """Write into the memory of x, or, if the write is recorded, give x a new value and edge."""
    if type(values.data) is not type(x.data) or registry.several:
        values = _beside(x, values)
    if current.get().record and (x.edge is not None or values.edge is not None):
        if x.edge is not None and x.is_leaf:
            raise GradientError(
                "a leaf that requires gradients was written in place; do it inside "
                "`with minidl.no_grad():`, or write to a copy"
            )
        result = indexing.put_at(x, values, index)
        inplace.mark_superseded(x.data)
        x.data, x.edge = result.data, result.edge
        return
    if inplace.superseded:
        inplace.refuse_superseded(x.data, "an in-place write")
    if not inplace.is_writeable(x.data):
        raise ArgumentError(
            f"setitem: the memory of this tensor, {describe(x)}, is read-only; write to a copy"
        )
    before_write(x)
    try:
        with on_device_of(x.data):
            backend_of(x.data).set_at(x.data, index, values.data)
    except (ValueError, IndexError) as error:
        raise ShapeError(
            f"setitem: writing {values.shape} into a tensor of shape {x.shape}: {error}"
        ) from None
    inplace.mark_written(x.data)


def _beside(x: Tensor, values: Tensor) -> Tensor:
    """The values that are to be written into x, on its device: there already, or a number."""
    if values.device != x.device and values.size != 1:
        own, other = str(x.device), str(values.device)
        raise DeviceError(
            f"setitem: {describe(x)} is on {own!r}, and the values, {describe(values)}, are on "
            f"{other!r}; move them, as by values.to({own!r})"
        )
    return values.to(x.device)


def _reshape(x: Tensor, *shape: Any) -> Tensor:
    """reshape(2, 3) and reshape((2, 3))."""
    return manipulation.reshape(x, shape[0] if len(shape) == 1 else shape)


def _transpose(x: Tensor) -> Tensor:
    """The transpose of a matrix."""
    if x.ndim != 2:
        raise ShapeError(f"T is of matrices; this shape is {x.shape}; use mT or permute_dims")
    return manipulation.matrix_transpose(x)


# These have a reflected form (2 - x) and an in-place form (x -= 2).
BINARY: dict[str, Callable[..., Any]] = {
    "add": arithmetic.add,
    "sub": arithmetic.subtract,
    "mul": arithmetic.multiply,
    "truediv": arithmetic.divide,
    "floordiv": arithmetic.floor_divide,
    "mod": arithmetic.remainder,
    "pow": arithmetic.pow,
    "matmul": products.matmul,
    "and": bitwise.bitwise_and,
    "or": bitwise.bitwise_or,
    "xor": bitwise.bitwise_xor,
    "lshift": bitwise.bitwise_left_shift,
    "rshift": bitwise.bitwise_right_shift,
}
OTHERS: dict[str, Callable[..., Any]] = {
    "eq": comparison.equal,
    "ne": comparison.not_equal,
    "lt": comparison.less,
    "le": comparison.less_equal,
    "gt": comparison.greater,
    "ge": comparison.greater_equal,
    "neg": arithmetic.negative,
    "abs": arithmetic.abs,
    "pos": arithmetic.positive,
    "invert": bitwise.bitwise_invert,
    "getitem": indexing.item_of,
    "setitem": _setitem,
}
METHODS = {
    arithmetic: "abs add divide floor_divide fmod lerp multiply negative pow reciprocal remainder "
    "sqrt square subtract xlogy",
    bitwise: "bitwise_and bitwise_or bitwise_xor",
    comparison: "allclose greater greater_equal isclose isfinite isinf isnan less less_equal "
    "logical_and logical_not logical_or logical_xor not_equal",
    complex_numbers: "angle conj",
    exponential: "exp expm1 log log1p log2 log10 logaddexp",
    trigonometry: "acos acosh asin asinh atan atan2 atanh cos cosh hypot sin sinh tan tanh",
    elementwise: "ceil clip copysign floor fmax fmin maximum minimum nan_to_num nextafter round "
    "sign signbit trunc",
    special: "digamma erf erfc erfinv lgamma logit polygamma sinc",
    activation: "relu sigmoid",
    reduction: "sum prod mean var std max min all any argmax argmin logsumexp",
    nan_reduction: "nanmean nanmedian nansum",
    cumulative: "cumulative_logsumexp cumulative_max cumulative_min cumulative_prod cumulative_sum "
    "diff",
    statistics: "corrcoef cov median mode nanquantile quantile",
    sorting: "argsort kthvalue sort topk",
    searching: "argwhere count_nonzero nonzero",
    sets: "unique_consecutive",
    softmax: "softmax log_softmax",
    indexing: "take take_along_axis",
    scatter: "index_copy index_fill masked_scatter put_along_axis scatter_add scatter_reduce",
    manipulation: "astype broadcast_to copy expand_dims flatten flip matrix_transpose permute_dims "
    "squeeze unflatten",
    arrangement: "moveaxis roll rot90 tile unstack",
    splitting: "chunk split",
    matrix: "diag_embed trace tril triu",
    products: "cross kron matmul outer",
}

METHOD_NAMES = [name for names in METHODS.values() for name in names.split()]


def equip(cls: type[Tensor]) -> None:
    """Give Tensor its operators and methods."""
    for name, operation in BINARY.items():
        setattr(cls, f"__{name}__", operation)
        setattr(cls, f"__r{name}__", _reflected(operation))
        setattr(cls, f"__i{name}__", _in_place(operation))
    for name, method in OTHERS.items():
        setattr(cls, f"__{name}__", method)
    for module, names in METHODS.items():
        for name in names.split():
            setattr(cls, name, getattr(module, name))
    others: dict[str, Any] = {
        "reshape": _reshape,
        "T": property(_transpose),
        "mT": property(manipulation.matrix_transpose),
        "real": property(complex_numbers.real),
        "imag": property(complex_numbers.imag),
    }
    for name, value in others.items():
        setattr(cls, name, value)
