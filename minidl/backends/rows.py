"""Row-sparse gradients, for embedding tables of which few rows are used."""

from collections.abc import Callable
from numbers import Real
from typing import Any, NoReturn, Self

import numpy as np

from minidl.backends.registry import backend_of
from minidl.errors import DTypeError, ShapeError, describe

_PYTORCH = {
    "values": "g.rows",
    "_values": "g.rows",
    "_indices": "g.indices",
    "_nnz": "g.indices.size",
    "to_dense": "minidl.asarray(g)",
    "is_sparse": "isinstance(g, minidl.RowGradient)",
}
_OF_WHOLE = "minidl.asarray(g) is the whole gradient, a tensor, and g.rows what it holds"


class RowGradient:
    """The gradient of a table W of `shape`, zero except for `rows`, which are added at W[indices].

    `nn.Embedding(…, sparse=True)` gives one to its weight.  Optimisers that say how they treat it
    read and write the used rows of W only; everything else takes it as the `dense()` array.

    indices         (n,), integers; an index may occur more than once
    rows            (n, *shape[1:])
    is_coalesced    whether the indices ascend and each occurs once, as in every `.grad`; they are
                    read-only then

    Indices and rows are arrays of the device, on the CPU NumPy's.  RowGradients can be added and
    subtracted, also with arrays, and multiplied and divided by numbers; np.asarray, minidl.asarray
    and all operations make them dense.  (In PyTorch: indices()[0], values() and to_dense().)  An
    index that is not a row of W is a BoundsError when they are coalesced.

    >>> layer = nn.Embedding(num_embeddings=1000, embedding_dim=1, sparse=True)
    >>> layer(minidl.tensor([7, 2, 7])).sum().backward()
    >>> layer.weight.grad
    RowGradient(2 rows of (1000, 1), float32)
    >>> layer.weight.grad.indices.tolist(), (layer.weight.grad / 2).rows.tolist()
    ([2, 7], [[0.5], [1.0]])
    >>> minidl.RowGradient([1, 2, 1], np.array([[2.0], [3.0], [4.0]]), (3, 1)).dense()
    array([[0.],
           [6.],
           [3.]])
    """

    __slots__ = ("_coalesced", "_parts", "shape")
    __array_ufunc__ = None  # array + rows calls __radd__ here

    def __init__(self, indices: Any, rows: Any, shape: tuple[int, ...]) -> None:
        self._parts = [(_array(indices), _array(rows))]  # more of them in a sum, until it is used
        self.shape, self._coalesced = tuple(shape), False
        if self.indices.dtype.kind not in "iu":
            raise DTypeError(f"RowGradient: indices are integers; got {describe(indices)}")
        n = self.indices.size
        if self.indices.ndim != 1 or not shape or self.rows.shape != (n, *self.shape[1:]):
            raise ShapeError(
                "RowGradient: needs indices (n,) and rows (n, *shape[1:]); got "
                f"{describe(indices)} and {describe(rows)} for the shape {shape}"
            )

    @property
    def indices(self) -> Any:
        """Which rows of W these are."""
        return self._joined()[0]

    @property
    def rows(self) -> Any:
        """What is added to each of them."""
        return self._joined()[1]

    def _joined(self) -> tuple[Any, Any]:
        """The indices and the rows, each in one array."""
        if len(self._parts) > 1:
            indices, rows = zip(*self._parts, strict=True)
            concat = self.backend.concat
            self._parts = [(concat(indices, axis=0), concat(rows, axis=0))]
        return self._parts[0]

    @property
    def backend(self) -> Any:
        """The backend of the arrays."""
        return backend_of(self._parts[0][1])

    @property
    def dtype(self) -> Any:
        """The dtype of the rows."""
        return self._parts[0][1].dtype

    @property
    def is_coalesced(self) -> bool:
        """Whether the indices ascend, each once."""
        return self._coalesced

    @property
    def ndim(self) -> int:
        """The number of axes of W."""
        return len(self.shape)

    def coalesce(self) -> Self:
        """The same gradient with ascending indices, each once: its row is the sum of all theirs."""
        if self._coalesced:
            return self
        indices, rows = self.backend.coalesce(self.indices, self.rows, self.shape[0])
        result = type(self)(indices, rows, self.shape)
        result._coalesced = True
        return result

    def dense(self) -> Any:
        """The whole gradient, as an array of `shape`."""
        own = self.coalesce()
        result = self.backend.zeros(self.shape, dtype=self.dtype)
        result[own.indices] = own.rows
        return result

    def numpy(self) -> np.ndarray:
        """The whole gradient, as a NumPy array."""
        return self.backend.to_numpy(self.dense())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.numpy(), dtype=dtype)

    def astype(self, dtype: Any) -> Self:
        """The same gradient in another dtype."""
        return self.map(lambda xp, rows: xp.astype(rows, dtype))

    def map(self, function: Callable[[Any, Any], Any]) -> Self:
        """The same indices with function(backend, rows), for a function with f(0) = 0."""
        result = type(self)(self.indices, function(self.backend, self.rows), self.shape)
        result._coalesced = self._coalesced
        return result

    def __mul__(self, factor: Any) -> Any:
        if not _is_number(factor):
            return NotImplemented
        return self.map(lambda xp, rows: rows * float(factor))

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> Any:
        if not _is_number(divisor):
            return NotImplemented
        return self.map(lambda xp, rows: rows / float(divisor))

    def __neg__(self) -> Self:
        return self.map(lambda xp, rows: -rows)

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, RowGradient):
            return self.__radd__(other)
        if (other.shape, other.dtype) != (self.shape, self.dtype):
            raise ShapeError(f"RowGradient: cannot add {describe(other)} to {describe(self)}")
        result = type(self)(*self._parts[0], self.shape)
        result._parts = [*self._parts, *other._parts]
        return result

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __radd__(self, other: Any) -> Any:
        like = getattr(other, "shape", None), getattr(other, "dtype", None)
        if backend_of(other) is None or like != (self.shape, self.dtype):
            return other + self.dense()
        own, total = self.coalesce(), other.copy()
        total[own.indices] += own.rows
        return total

    def __getattr__(self, name: str) -> NoReturn:
        """Only called for what is missing; PyTorch's names are answered with those of here."""
        hint = f"{_PYTORCH[name]} gives it" if name in _PYTORCH else _OF_WHOLE
        hint = "" if name.startswith("__") else f"; {hint}"
        raise AttributeError(f"RowGradient has no attribute {name!r}{hint}")

    def __repr__(self) -> str:
        return f"RowGradient({self.indices.size} rows of {self.shape}, {self.dtype})"


def row_gradient(values: Any, index: tuple[Any], shape: tuple[int, ...]) -> RowGradient:
    """What `scatter_at` returns, as a RowGradient: zeros with values added at index."""
    return RowGradient(*index, values, shape)


def _is_number(x: Any) -> bool:
    return isinstance(x, Real) or getattr(x, "ndim", None) == 0


def _array(values: Any) -> Any:
    """An array of a backend; from a tensor the one that it holds, from numbers NumPy's."""
    if backend_of(values) is not None:
        return values
    held = getattr(values, "data", None)
    return np.asarray(values) if backend_of(held) is None else held
