"""Positions in a sequence: what tells attention, which sees a set, in which order it stands."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, overload

from minidl import ops
from minidl.autograd.mode import no_grad
from minidl.autograd.tensor import Tensor
from minidl.checks import check_flags, check_integers, check_numbers, check_probability
from minidl.errors import ArgumentError, BoundsError, DTypeError, ShapeError, describe
from minidl.nn import init
from minidl.nn.dropout import Dropout
from minidl.nn.module import Module, Parameter, shape_error
from minidl.nn.parameter import empty
from minidl.nn.precision import tensor_in_dtype_of

_LONGEST_TABLE = 2**15  # positions; 16 MB for 128 features


class _AddedPositions(Module):
    """x + a row for each position, for sequences of d_model features."""

    d_model: int
    batch_first: bool

    def _added(self, x: Any, offset: Any, rows: Callable[[Tensor, int, int], Tensor]) -> Tensor:
        """x with rows(x, first, last) of its positions added."""
        check_integers(self, 0, offset=offset)
        shape = tuple(getattr(x, "shape", ()))
        if len(shape) not in (2, 3) or shape[-1] != self.d_model:
            axes = "N, L" if self.batch_first else "L, N"
            needs = f"({axes}, {self.d_model}), or (L, {self.d_model})"
            raise shape_error(type(self).__name__, needs, x)
        length = shape[1 if self.batch_first and len(shape) == 3 else 0]
        added = rows(x, int(offset), int(offset) + length)
        if len(shape) == 3 and not self.batch_first:
            added = ops.expand_dims(added, axis=1)
        return x + added


class SinusoidalPositionalEncoding(_AddedPositions):
    """y = dropout(x + P): P[t, 2i] = sin(t/10000^(2i/d_model)), P[t, 2i+1] = cos of the same angle.

    There is nothing to learn, and no longest sequence.  Vaswani et al. 2017, arXiv:1706.03762.

    dropout        as in the paper, of the sum
    batch_first    sequences are (N, L, d_model) instead of (L, N, d_model)

    >>> layer = nn.SinusoidalPositionalEncoding(d_model=4)
    >>> layer(minidl.zeros((2, 4)))
    Tensor([[0.        , 1.        , 0.        , 1.        ],
            [0.841470..., 0.5403023 , 0.00999983, 0.99995   ]], shape=(2, 4), float32)
    """

    def __init__(self, d_model: int, dropout: float = 0.0, batch_first: bool = False) -> None:
        check_integers(self, 1, d_model=d_model)
        check_probability(self, dropout=dropout)
        check_flags(self, batch_first=batch_first)
        self.d_model, self.batch_first = d_model, batch_first
        self.dropout = Dropout(dropout)
        self._table = _Table()

    def forward(self, x: Tensor, *, offset: int = 0) -> Tensor:
        """(L, N, d_model) or (L, d_model) → the same.

        offset    the position of the first row, as `KeyValueCache.length` when decoding
        """
        x = tensor_in_dtype_of(None, self, x)
        rows = partial(self._table.rows, self._encodings)
        return self.dropout(self._added(x, offset, rows))

    def _encodings(self, positions: Tensor) -> Tensor:
        """P at these positions, (n, d_model)."""
        angles = _angles(positions, self.d_model, 10000.0)
        pairs = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
        return ops.flatten(pairs, start_dim=1)[:, : self.d_model]

    def extra_repr(self) -> str:
        return f"{self.d_model}, batch_first={self.batch_first}"


class LearnedPositionalEmbedding(_AddedPositions):
    """y = x + weight[t] for the row at position t, up to max_len.

    weight (max_len, d_model) starts normal, N(0, 0.02²), as in GPT-2 and BERT (Devlin et al. 2018).

    batch_first    sequences are (N, L, d_model) instead of (L, N, d_model)

    >>> layer = nn.LearnedPositionalEmbedding(max_len=16, d_model=4)
    >>> layer(minidl.zeros((2, 3, 4))).shape, layer.weight.shape
    ((2, 3, 4), (16, 4))
    """

    def __init__(
        self,
        max_len: int,
        d_model: int,
        batch_first: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        check_integers(self, 1, max_len=max_len, d_model=d_model)
        check_flags(self, batch_first=batch_first)
        self.max_len, self.d_model, self.batch_first = max_len, d_model, batch_first
        self.weight = Parameter(empty(self, (max_len, d_model), dtype, device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the rows anew."""
        init.normal_(self.weight, std=0.02)

    def forward(self, x: Tensor, *, offset: int = 0) -> Tensor:
        """(L, N, d_model) or (L, d_model) → the same; BoundsError beyond max_len.

        offset    the position of the first row, as `KeyValueCache.length` when decoding
        """
        x = tensor_in_dtype_of(self.weight, self, x)
        return self._added(x, offset, self._rows)

    def _rows(self, x: Tensor, first: int, last: int) -> Tensor:
        if last > self.max_len:
            raise BoundsError(
                f"LearnedPositionalEmbedding: has {self.max_len} positions; got positions {first} "
                f"to {last - 1}; shorten the sequence, or make the layer with max_len={last}"
            )
        return self.weight[first:last]

    def extra_repr(self) -> str:
        return f"{self.max_len}, {self.d_model}, batch_first={self.batch_first}"


class RotaryEmbedding(Module):
    """Rotates pairs of features of queries and keys by angles t·theta^(−2i/dim) at position t.

    The product of a query and a key then depends on the distance of their positions alone.  There
    is nothing to learn, and no longest sequence.  Su et al. 2021, arXiv:2104.09864.

    dim            how many features are rotated, an even number; those after them are left, as in
                   GPT-NeoX
    theta          the base of the wavelengths: 10000 in the paper, 500000 in Llama 3
    interleaved    pair i is features 2·i and 2·i + 1, as in the paper and in GPT-J; else features
                   i and dim/2 + i, as in GPT-NeoX and Llama

    >>> rotary = nn.RotaryEmbedding(dim=4)
    >>> query, key = minidl.random.normal((1, 2, 5, 4)), minidl.random.normal((1, 2, 5, 4))
    >>> rotated, _ = rotary(query, key)
    >>> bool(minidl.allclose(minidl.linalg.vector_norm(rotated), minidl.linalg.vector_norm(query)))
    True
    """

    def __init__(self, dim: int, theta: float = 10000.0, interleaved: bool = False) -> None:
        check_integers(self, 2, dim=dim)
        if dim % 2:
            raise ArgumentError(f"RotaryEmbedding: dim is even, as features are paired; got {dim}")
        check_numbers(self, above=0, finite=True, theta=theta)
        check_flags(self, interleaved=interleaved)
        self.dim, self.theta, self.interleaved = dim, theta, interleaved
        self._table = _Table()

    @overload
    def forward(
        self, query: Tensor, key: None = None, *, offset: int = 0, positions: Any = None
    ) -> Tensor: ...
    @overload
    def forward(
        self, query: Tensor, key: Tensor, *, offset: int = 0, positions: Any = None
    ) -> tuple[Tensor, Tensor]: ...
    def forward(
        self, query: Tensor, key: Tensor | None = None, *, offset: int = 0, positions: Any = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Queries, and keys at the same positions, (…, L, ≥ dim) → the same.

        offset       the position of the first, as `KeyValueCache.length` when decoding
        positions    integers (L,), or (N, L) for inputs (N, heads, L, features), instead
        """
        query = tensor_in_dtype_of(None, self, query)
        if query.ndim < 2 or query.shape[-1] < self.dim:
            raise shape_error("RotaryEmbedding", f"(…, L, at least {self.dim})", query)
        cos, sin = self._of_positions(query, offset, positions)
        rotated = ops.rotary_embedding(query, cos, sin, interleaved=self.interleaved)
        if key is None:
            return rotated
        key = tensor_in_dtype_of(None, self, key)
        if key.shape[-2:-1] != query.shape[-2:-1] or key.shape[-1] < self.dim:
            raise ShapeError(
                "RotaryEmbedding: query and key are at the same positions, (…, L, at least "
                f"{self.dim}); got {query.shape} and {key.shape}; rotate others by a call each"
            )
        return rotated, ops.rotary_embedding(key, cos, sin, interleaved=self.interleaved)

    def _of_positions(self, query: Tensor, offset: Any, positions: Any) -> tuple[Tensor, ...]:
        """cos and sin of the angles, to broadcast to pairs of features of the query."""
        check_integers(self, 0, offset=offset)
        length = query.shape[-2]
        if positions is None:
            both = self._table.rows(self._cos_and_sin, query, int(offset), int(offset) + length)
        else:
            positions = self._checked(positions, query)
            with no_grad():
                both = ops.astype(self._cos_and_sin(positions), query.dtype)
            if positions.ndim == 2:
                both = ops.expand_dims(both, axis=1)
        half = self.dim // 2
        return both[..., :half], both[..., half:]

    def _checked(self, positions: Any, query: Tensor) -> Tensor:
        """The positions as a tensor, of a shape that fits."""
        kind = getattr(getattr(positions, "dtype", None), "kind", "")
        if kind not in ("i", "u"):
            raise DTypeError(f"RotaryEmbedding: positions are integers; got {describe(positions)}")
        positions = ops.asarray(positions)
        batched = query.ndim == 4 and positions.shape in (
            (1, query.shape[-2]),
            (query.shape[0], query.shape[-2]),
        )
        if positions.shape != query.shape[-2:-1] and not batched:
            raise ShapeError(
                f"RotaryEmbedding: positions are (L,), or (N, L) of inputs (N, heads, L, features);"
                f" got positions {positions.shape} of {query.shape}"
            )
        return positions

    def _cos_and_sin(self, positions: Tensor) -> Tensor:
        """cos and sin side by side, (…, dim)."""
        angles = _angles(positions, self.dim, self.theta)
        return ops.concat([ops.cos(angles), ops.sin(angles)], axis=-1)

    def extra_repr(self) -> str:
        return f"{self.dim}, theta={self.theta}, interleaved={self.interleaved}"


def _angles(positions: Tensor, dim: int, theta: float) -> Tensor:
    """t·theta^(−2i/dim) for i < dim/2, in float64: float32 would lose digits at large positions."""
    exponents = ops.arange(0, dim, 2, dtype="float64", device=positions.device) / dim
    frequencies = ops.exp(-math.log(theta) * exponents)
    return ops.expand_dims(ops.astype(positions, "float64"), axis=-1) * frequencies


class _Table:
    """The values of a function of positions, for those from 0 on; the table grows by doubling.

    Rows of positions that are farther than most sequences are long are computed each time, so that
    few of them do not need all those before.
    """

    def __init__(self) -> None:
        self._tables: dict[tuple[Any, str], Tensor] = {}

    def rows(
        self, function: Callable[[Tensor], Tensor], like: Tensor, first: int, last: int
    ) -> Tensor:
        """The rows of positions first … last − 1, in the dtype and on the device of a tensor."""
        dtype = like.dtype if like.dtype.kind == "f" else "float32"

        def computed(start: int, stop: int) -> Tensor:
            with no_grad():
                return ops.astype(function(ops.arange(start, stop, device=like.device)), dtype)

        if last > _LONGEST_TABLE:
            return computed(first, last)
        table = self._tables.get((dtype, like.device))
        if table is None or table.shape[0] < last:
            known = 0 if table is None else table.shape[0]
            table = computed(0, min(max(last, 2 * known), _LONGEST_TABLE))
            self._tables[dtype, like.device] = table
        return table[first:last]
