"""The operators and methods of Tensor, as type checkers and editors see them.

`minidl.ops` attaches them to Tensor when it is imported, since operations are written above this
layer.  Nothing here runs: these are their declarations, and a test holds them to what is attached.
"""

from types import ModuleType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from minidl.autograd.tensor import Tensor

    Operand: TypeAlias = (
        Tensor | np.ndarray[Any, Any] | np.generic | complex
    )  # what a Tensor computes with
    Axes: TypeAlias = int | Sequence[int] | None  # None: all of them


class TensorMethods:
    """The declarations; `minidl.ops` attaches what they declare."""

    __slots__ = ()

    if TYPE_CHECKING:
        # Arithmetic.  `2 - x` calls x.__rsub__, and `x -= 2` writes into the memory of x.

        def __add__(self, other: Operand, /) -> Tensor: ...
        def __radd__(self, other: Operand, /) -> Tensor: ...
        def __iadd__(self, other: Operand, /) -> Self: ...
        def __sub__(self, other: Operand, /) -> Tensor: ...
        def __rsub__(self, other: Operand, /) -> Tensor: ...
        def __isub__(self, other: Operand, /) -> Self: ...
        def __mul__(self, other: Operand, /) -> Tensor: ...
        def __rmul__(self, other: Operand, /) -> Tensor: ...
        def __imul__(self, other: Operand, /) -> Self: ...
        def __truediv__(self, other: Operand, /) -> Tensor: ...
        def __rtruediv__(self, other: Operand, /) -> Tensor: ...
        def __itruediv__(self, other: Operand, /) -> Self: ...
        def __floordiv__(self, other: Operand, /) -> Tensor: ...
        def __rfloordiv__(self, other: Operand, /) -> Tensor: ...
        def __ifloordiv__(self, other: Operand, /) -> Self: ...
        def __mod__(self, other: Operand, /) -> Tensor: ...
        def __rmod__(self, other: Operand, /) -> Tensor: ...
        def __imod__(self, other: Operand, /) -> Self: ...
        def __pow__(self, other: Operand, /) -> Tensor: ...
        def __rpow__(self, other: Operand, /) -> Tensor: ...
        def __ipow__(self, other: Operand, /) -> Self: ...
        def __matmul__(self, other: Operand, /) -> Tensor: ...
        def __rmatmul__(self, other: Operand, /) -> Tensor: ...
        def __imatmul__(self, other: Operand, /) -> Self: ...
        def __and__(self, other: Operand, /) -> Tensor: ...
        def __rand__(self, other: Operand, /) -> Tensor: ...
        def __iand__(self, other: Operand, /) -> Self: ...
        def __or__(self, other: Operand, /) -> Tensor: ...
        def __ror__(self, other: Operand, /) -> Tensor: ...
        def __ior__(self, other: Operand, /) -> Self: ...
        def __xor__(self, other: Operand, /) -> Tensor: ...
        def __rxor__(self, other: Operand, /) -> Tensor: ...
        def __ixor__(self, other: Operand, /) -> Self: ...
        def __lshift__(self, other: Operand, /) -> Tensor: ...
        def __rlshift__(self, other: Operand, /) -> Tensor: ...
        def __ilshift__(self, other: Operand, /) -> Self: ...
        def __rshift__(self, other: Operand, /) -> Tensor: ...
        def __rrshift__(self, other: Operand, /) -> Tensor: ...
        def __irshift__(self, other: Operand, /) -> Self: ...
        def __neg__(self, /) -> Tensor: ...
        def __pos__(self, /) -> Tensor: ...
        def __abs__(self, /) -> Tensor: ...
        def __invert__(self, /) -> Tensor: ...

        # Comparisons, element by element.

        def __eq__(self, other: Operand, /) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Operand, /) -> Tensor: ...  # type: ignore[override]
        def __lt__(self, other: Operand, /) -> Tensor: ...
        def __le__(self, other: Operand, /) -> Tensor: ...
        def __gt__(self, other: Operand, /) -> Tensor: ...
        def __ge__(self, other: Operand, /) -> Tensor: ...

        # Indexing.

        def __getitem__(self, index: Any, /) -> Tensor: ...
        def __setitem__(self, index: Any, values: Any, /) -> None: ...

        # Functions of each element.

        def abs(self, /) -> Tensor:
            """|x|."""

        def square(self, /) -> Tensor:
            """x²."""

        def sqrt(self, /) -> Tensor:
            """√x."""

        def exp(self, /) -> Tensor:
            """eˣ."""

        def log(self, /) -> Tensor:
            """The natural logarithm."""

        def sin(self, /) -> Tensor:
            """Of radians."""

        def cos(self, /) -> Tensor:
            """Of radians."""

        def tanh(self, /) -> Tensor:
            """(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)."""

        def clip(self, /, min: Any = None, max: Any = None) -> Tensor:
            """x, but at least `min` and at most `max`."""

        def floor(self, /) -> Tensor:
            """The largest integer that is not greater."""

        def round(self, /) -> Tensor:
            """The nearest integer, halves to even."""

        def relu(self, /) -> Tensor:
            """max(x, 0)."""

        def sigmoid(self, /) -> Tensor:
            """1 / (1 + e⁻ˣ)."""

        # Functions along axes.

        def sum(self, /, *, axis: Axes = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
            """Σx over the axes; integers give int64."""

        def mean(self, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
            """The arithmetic mean over the axes."""

        def var(
            self, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False
        ) -> Tensor:
            """The variance over the axes; its divisor is n − correction."""

        def std(
            self, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False
        ) -> Tensor:
            """The standard deviation over the axes; its divisor is n − correction."""

        def max(self, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
            """The largest element; NaN if any is NaN."""

        def min(self, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
            """The smallest element; NaN if any is NaN."""

        def all(self, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
            """Whether all elements are true."""

        def any(self, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
            """Whether any element is true."""

        def argmax(self, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
            """The index of the first largest element."""

        def argmin(self, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
            """The index of the first smallest element."""

        def logsumexp(self, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
            """log Σeˣ, without overflow."""

        def softmax(self, /, *, axis: int = -1) -> Tensor:
            """eˣ / Σeˣ."""

        def log_softmax(self, /, *, axis: int = -1) -> Tensor:
            """x − log Σeˣ."""

        # Shape, dtype, device.

        def reshape(self, *shape: Any) -> Tensor:
            """The elements in another shape, given as integers or as one tuple."""

        def flatten(self, /, start_dim: int = 0, end_dim: int = -1) -> Tensor:
            """These axes as one."""

        def squeeze(self, /, axis: int | Sequence[int]) -> Tensor:
            """Without these axes, which have length 1."""

        def permute_dims(self, /, axes: Sequence[int]) -> Tensor:
            """Axis i of the result is axis axes[i]."""

        @property
        def T(self) -> Tensor:  # noqa: N802
            """The transpose of a matrix."""

        @property
        def mT(self) -> Tensor:  # noqa: N802
            """The transposes of a stack of matrices: the last two axes exchanged."""

        def astype(self, /, dtype: Any, *, copy: bool = True, device: str | None = None) -> Tensor:
            """In another dtype."""

        def copy(self, /) -> Tensor:
            """The same values in memory of its own."""

        def to_device(self, device: str, /, *, stream: Any = None) -> Tensor:
            """The same values on another device."""

        # The protocols of the array API standard.

        def __array_namespace__(self, /, *, api_version: str | None = None) -> ModuleType: ...
        def __dlpack__(
            self,
            /,
            *,
            stream: Any = None,
            max_version: tuple[int, int] | None = None,
            dl_device: tuple[int, int] | None = None,
            copy: bool | None = None,
        ) -> Any: ...
