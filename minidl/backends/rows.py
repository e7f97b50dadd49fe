"""Row-sparse gradients, for embedding tables of which few rows are used."""

from typing import Any, Self


class RowGradient:
    """dW for W of `shape`, zero except for `rows`, which accumulate at W[indices].

    Only kernels create one, for operations with `sparse=True`.  The engine accumulates it,
    optimisers that document how they treat it use it as it is, and everything else gets the
    `dense()` array.  An index may occur more than once.

    >>> from minidl.backends import cpu
    >>> rows = np.array([[2.0], [3.0], [4.0]])
    >>> minidl.RowGradient(cpu, np.array([1, 2, 1]), rows, (3, 1)).dense()
    array([[0.],
           [6.],
           [3.]])
    """

    __slots__ = ("backend", "indices", "rows", "shape")
    __array_ufunc__ = None  # array + rows calls __radd__ here

    def __init__(self, backend: Any, indices: Any, rows: Any, shape: tuple[int, ...]) -> None:
        self.backend, self.indices, self.rows, self.shape = backend, indices, rows, shape

    @property
    def dtype(self) -> Any:
        """The dtype of the rows."""
        return self.rows.dtype

    def astype(self, dtype: Any) -> Self:
        """The same rows in another dtype."""
        return type(self)(
            self.backend, self.indices, self.backend.astype(self.rows, dtype), self.shape
        )

    def dense(self) -> Any:
        """The whole gradient, as an array of `shape`."""
        return self.backend.scatter_at(self.rows, (self.indices,), self.shape)

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, RowGradient):
            return self.dense() + other
        indices = self.backend.concat([self.indices, other.indices], axis=0)
        rows = self.backend.concat([self.rows, other.rows], axis=0)
        return type(self)(self.backend, indices, rows, self.shape)

    def __radd__(self, other: Any) -> Any:
        return other + self.dense()

    def __repr__(self) -> str:
        return f"RowGradient({self.indices.shape[0]} rows of {self.shape}, {self.dtype})"
