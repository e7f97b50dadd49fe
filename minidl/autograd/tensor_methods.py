"""The operators and methods of Tensor, as type checkers and editors see them.

`minidl.ops` attaches them to Tensor when it is imported, since operations are written above this
layer.  Nothing here runs: these are their declarations, and a test holds them to what is attached.
Operators are in `tensor_operators.py`, functions of each element in `tensor_elementwise.py`.

A method has the name and the arguments of the function that it is.  A name that means something
else to NumPy's or PyTorch's users is no method: `repeat`, `equal`, `where`, `unfold`, `diagonal`.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

from minidl.autograd.tensor_elementwise import ElementwiseMethods
from minidl.autograd.tensor_operators import TensorOperators

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minidl.autograd.tensor import Tensor
    from minidl.autograd.tensor_operators import Operand

    Axes: TypeAlias = int | Sequence[int] | None  # None: all of them


class TensorMethods(ElementwiseMethods, TensorOperators):
    """The declarations; `minidl.ops` attaches what they declare."""

    __slots__ = ()

    if TYPE_CHECKING:
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

        def prod(
            self, /, *, axis: Axes = None, dtype: Any = None, keepdims: bool = False
        ) -> Tensor:
            """Πx over the axes; integers give int64."""

        def count_nonzero(self, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
            """How many are not 0."""

        def median(self, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
            """The middle of the sorted elements, or the mean of the two."""

        def quantile(
            self,
            /,
            q: Any,
            *,
            axis: Axes = None,
            keepdims: bool = False,
            interpolation: str = "linear",
        ) -> Tensor:
            """What a fraction q of the elements is below."""

        def nansum(
            self, /, *, axis: Axes = None, dtype: Any = None, keepdims: bool = False
        ) -> Tensor:
            """Σx over those that are not NaN."""

        def nanmean(self, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
            """The mean of those that are not NaN."""

        def nanmedian(self, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
            """The median of those that are not NaN."""

        def nanquantile(
            self,
            /,
            q: Any,
            *,
            axis: Axes = None,
            keepdims: bool = False,
            interpolation: str = "linear",
        ) -> Tensor:
            """The quantile of those that are not NaN."""

        def mode(self, /, *, axis: int = -1, keepdims: bool = False) -> tuple[Tensor, Tensor]:
            """The most frequent element, and its last index."""

        def allclose(
            self,
            x2: Operand,
            /,
            *,
            rtol: float = 1e-05,
            atol: float = 1e-08,
            equal_nan: bool = False,
        ) -> bool:
            """Whether all are close: True or False."""

        def cumulative_sum(
            self, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
        ) -> Tensor:
            """x₀ + … + xᵢ along the axis."""

        def cumulative_prod(
            self, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
        ) -> Tensor:
            """x₀ ⋯ xᵢ along the axis."""

        def cumulative_max(self, /, *, axis: int | None = None) -> tuple[Tensor, Tensor]:
            """The largest up to each element, and its index."""

        def cumulative_min(self, /, *, axis: int | None = None) -> tuple[Tensor, Tensor]:
            """The smallest up to each element, and its index."""

        def cumulative_logsumexp(self, /, *, axis: int | None = None) -> Tensor:
            """log(e^x₀ + … + e^xᵢ) along the axis."""

        def diff(
            self,
            /,
            *,
            axis: int = -1,
            n: int = 1,
            prepend: Operand | None = None,
            append: Operand | None = None,
        ) -> Tensor:
            """The differences of neighbours along the axis."""

        def sort(
            self, /, *, axis: int = -1, descending: bool = False, stable: bool = True
        ) -> Tensor:
            """Sorted along the axis, in memory of its own."""

        def argsort(
            self, /, *, axis: int = -1, descending: bool = False, stable: bool = True
        ) -> Tensor:
            """The indices that sort along the axis."""

        def topk(
            self, /, k: int, *, axis: int = -1, largest: bool = True, sorted: bool = True
        ) -> tuple[Tensor, Tensor]:
            """The k largest, in descending order, and their indices."""

        def kthvalue(
            self, /, k: int, *, axis: int = -1, keepdims: bool = False
        ) -> tuple[Tensor, Tensor]:
            """The k-th smallest, and its index."""

        def nonzero(self, /) -> tuple[Tensor, ...]:
            """The indices of the elements that are not 0: a tensor for each axis."""

        def argwhere(self, /) -> Tensor:
            """The indices of the elements that are not 0, as rows."""

        def unique_consecutive(self, /, *, axis: int | None = None) -> Any:
            """The first of each run of equal elements, and more."""

        # Parts and copies with other parts.

        def take(self, indices: Operand, /, *, axis: int | None = None) -> Tensor:
            """The slices at these indices of the axis."""

        def take_along_axis(self, indices: Operand, /, *, axis: int = -1) -> Tensor:
            """The elements at these indices along the axis."""

        def put_along_axis(self, indices: Operand, values: Operand, /, *, axis: int = -1) -> Tensor:
            """A copy with values written where indices point."""

        def scatter_add(self, indices: Operand, values: Operand, /, *, axis: int = -1) -> Tensor:
            """A copy with values added where indices point."""

        def scatter_reduce(
            self,
            indices: Operand,
            values: Operand,
            /,
            reduce: str,
            *,
            axis: int = -1,
            include_self: bool = True,
        ) -> Tensor:
            """A copy with reductions of values where indices point."""

        def index_copy(
            self, indices: Operand, values: Operand, /, *, axis: int | None = None
        ) -> Tensor:
            """A copy with these slices along the axis."""

        def index_fill(
            self, indices: Operand, value: Operand, /, *, axis: int | None = None
        ) -> Tensor:
            """A copy with slices filled with a number."""

        def masked_scatter(self, mask: Operand, values: Operand, /) -> Tensor:
            """A copy with values, one after the other, where the mask holds."""

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

        def to(
            self,
            /,
            *where: Any,
            device: str | None = None,
            dtype: Any = None,
            non_blocking: bool = False,
            copy: bool = False,
        ) -> Tensor:
            """On another device, in another dtype, or as another tensor is."""

        def cpu(self, /) -> Tensor:
            """The same values on the CPU."""

        def cuda(self, device: int | str | None = None, /, *, non_blocking: bool = False) -> Tensor:
            """The same values on a GPU."""

        @property
        def is_cuda(self) -> bool:
            """Whether the array is on a GPU."""

        def broadcast_to(self, /, shape: Sequence[int]) -> Tensor:
            """Repeated along new axes and axes of length 1."""

        def expand_dims(self, /, axis: int | Sequence[int] = 0) -> Tensor:
            """With new axes of length 1 at these positions."""

        def flip(self, /, *, axis: Axes = None) -> Tensor:
            """Reversed along the axes."""

        def matrix_transpose(self, /) -> Tensor:
            """The last two axes exchanged."""

        def unflatten(self, /, axis: int, shape: Sequence[int]) -> Tensor:
            """One axis as several."""

        def moveaxis(
            self, source: int | tuple[int, ...], destination: int | tuple[int, ...], /
        ) -> Tensor:
            """Axes moved to other positions."""

        def roll(self, /, shift: int | Sequence[int], *, axis: Axes = None) -> Tensor:
            """Shifted cyclically along the axes."""

        def rot90(self, /, k: int = 1, *, axes: Sequence[int] = (0, 1)) -> Tensor:
            """Rotated k times by 90°."""

        def tile(self, repetitions: int | tuple[int, ...], /) -> Tensor:
            """Repeated as a whole along each axis."""

        def unstack(self, /, *, axis: int = 0) -> tuple[Tensor, ...]:
            """The slices along the axis."""

        def chunk(self, /, chunks: int, *, axis: int = 0) -> tuple[Tensor, ...]:
            """At most this many parts of one length."""

        def split(
            self,
            /,
            *ambiguous: Any,
            sections: int | None = None,
            indices: Sequence[int] | None = None,
            lengths: int | Sequence[int] | None = None,
            axis: int = 0,
        ) -> tuple[Tensor, ...]:
            """Parts of stated lengths, or this many equal ones."""

        def tril(self, /, *, k: int = 0) -> Tensor:
            """0 above the k-th diagonal."""

        def triu(self, /, *, k: int = 0) -> Tensor:
            """0 below the k-th diagonal."""

        def diag_embed(self, /, *, offset: int = 0) -> Tensor:
            """Matrices with these diagonals."""

        # Matrices.

        def matmul(self, x2: Operand, /) -> Tensor:
            """The product of matrices."""

        def outer(self, x2: Operand, /) -> Tensor:
            """The products of all pairs of elements of two vectors."""

        def cross(self, x2: Operand, /, *, axis: int = -1) -> Tensor:
            """The vector product."""

        def kron(self, x2: Operand, /) -> Tensor:
            """The Kronecker product."""

        def trace(self, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
            """The sum of the diagonal."""

        def cov(
            self,
            /,
            *,
            correction: float = 1,
            fweights: Operand | None = None,
            aweights: Operand | None = None,
        ) -> Tensor:
            """The covariances of the rows."""

        def corrcoef(self, /) -> Tensor:
            """The correlations of the rows."""
