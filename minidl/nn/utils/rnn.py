"""Batches of sequences of different lengths, padded or packed: the names are torch.nn.utils.rnn's.

A padded batch (T, N, …) has the length of its longest sequence.  A packed one has no padding: the
sequences are sorted by length, and one step of all of them follows the other:

    padded   a b c    lengths 1, 3, 2: sorted, these are the sequences 1, 2, 0
             · d e
             · f ·    packed   b c a d e f,  of which each step has 3, 2 and 1
"""

from collections.abc import Iterable
from math import isfinite
from numbers import Real
from typing import Any, NamedTuple, Self

import numpy as np

from minidl import ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_choice, check_flags, check_integers
from minidl.errors import ArgumentError, DTypeError, ShapeError, describe, listed, named
from minidl.ops.indexing import put_at
from minidl.ops.lengths import lengths_of, steps_of

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """A packed batch, which `pack_padded_sequence` and `pack_sequence` make, and layers return.

    data                (Σ lengths, …): the steps of all sequences, as above
    batch_sizes         (T,): how many sequences have each step; on the CPU, where it is read
    sorted_indices      (N,): which sequence is the longest, and so on; None: they came sorted
    unsorted_indices    the inverse of that permutation

    Raises DTypeError or ShapeError if these do not fit together.

    >>> packed = nn.utils.rnn.pack_sequence([minidl.tensor([1, 2]), minidl.tensor([3])])
    >>> packed.data, packed.batch_sizes
    (Tensor([1, 3, 2], int64), Tensor([2, 1], int64))
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        n = _check_data(data, batch_sizes)
        if sorted_indices is None:
            if unsorted_indices is not None:
                raise ArgumentError("PackedSequence: unsorted_indices need sorted_indices")
            return super().__new__(cls, data, batch_sizes, None, None)
        inverse = _inverse("PackedSequence: sorted_indices", sorted_indices)
        if len(inverse) != n:
            raise ShapeError(f"PackedSequence: sorted_indices are {len(inverse)} of {n} sequences")
        if unsorted_indices is None:
            unsorted_indices = ops.asarray(inverse, device=sorted_indices.device)
        given = _whole_numbers("PackedSequence: unsorted_indices", unsorted_indices)
        if not np.array_equal(given, inverse):
            raise ArgumentError(
                f"PackedSequence: unsorted_indices are the inverse of sorted_indices, "
                f"{inverse.tolist()!s:.60}; got {given.tolist()!s:.60}"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def with_data(self, data: Tensor) -> Self:
        """Return other data of the same sequences: `packed.with_data(layer(packed.data))`.

        >>> packed = nn.utils.rnn.pack_sequence([minidl.tensor([1, 2]), minidl.tensor([3])])
        >>> [x.tolist() for x in nn.utils.rnn.unpack_sequence(packed.with_data(-packed.data))]
        [[-1, -2], [-3]]
        """
        return type(self)(data, *self[1:])

    def astype(self, dtype: Any, /) -> Self:
        """Return it with data of another dtype."""
        return self.with_data(self.data.astype(dtype))

    def to_device(self, device: str, /) -> Self:
        """Return it on another device; the batch sizes stay where they are."""
        moved: list[Any] = [x if x is None else x.to_device(device) for x in self[2:]]
        return type(self)(self.data.to_device(device), self.batch_sizes, *moved)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes one; None of None.

    >>> nn.utils.rnn.invert_permutation(minidl.tensor([1, 2, 0]))
    Tensor([2, 0, 1], int64)
    """
    if permutation is None:
        return None
    inverse = _inverse("invert_permutation: permutation", permutation)
    return ops.asarray(inverse, device=permutation.device)


@named
def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The packed batch of a padded one, (T, N, …), or (N, T, …) with `batch_first`.

    lengths           one for each sequence, from 1 to T: integers, a tensor or an array
    enforce_sorted    the sequences are sorted, the longest first; False: they are sorted here

    What is beyond the lengths has no influence, and gets gradient 0.

    Raises ArgumentError for lengths outside, or not sorted, ShapeError for a wrong number of them.

    >>> x = minidl.tensor([[1, 2, 3], [4, 0, 0], [5, 6, 0]])
    >>> packed = nn.utils.rnn.pack_padded_sequence(x, [3, 1, 2], True, enforce_sorted=False)
    >>> packed.data.tolist(), packed.batch_sizes.tolist(), packed.sorted_indices.tolist()
    ([1, 5, 4, 2, 6, 3], [3, 2, 1], [0, 2, 1])
    """
    check_flags("pack_padded_sequence", batch_first=batch_first, enforce_sorted=enforce_sorted)
    return _packed(_time_major("input", input, batch_first), lengths, enforce_sorted)


def _packed(x: Tensor, lengths: Any, enforce_sorted: bool) -> PackedSequence:
    """The packed batch of a padded one, (T, N, …)."""
    if not x.shape[0] or not x.shape[1]:
        raise ShapeError(f"needs a sequence, and a step; got (T, N, …) = {x.shape}")
    sizes = lengths_of("lengths", lengths, x.shape[1], 1, x.shape[0])
    order = None
    if not enforce_sorted:
        longest_first = np.argsort(-sizes, kind="stable")
        order = ops.asarray(longest_first, device=x.device)
        x, sizes = ops.take(x, order, axis=1), sizes[longest_first]
    elif (np.diff(sizes) > 0).any():
        raise ArgumentError(
            f"lengths are sorted, the longest first; got {sizes.tolist()!s:.60}; "
            "enforce_sorted=False sorts the sequences"
        )
    steps = steps_of(sizes, sizes[0])
    data = x[: sizes[0]][ops.asarray(steps, device=x.device)]
    return PackedSequence(data, ops.asarray(steps.sum(axis=1), device="cpu"), order)


@named
def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The padded batch (T, N, …) of a packed one, or (N, T, …), and the lengths, (N,).

    The sequences are in the order in which they were before they were packed, and the lengths are
    on the CPU.

    total_length    T, if it is to be more than the length of the longest sequence

    >>> packed = nn.utils.rnn.pack_sequence([minidl.tensor([1, 2, 3]), minidl.tensor([4])])
    >>> x, lengths = nn.utils.rnn.pad_packed_sequence(packed, True, padding_value=-1)
    >>> x.tolist(), lengths.tolist()
    ([[1, 2, 3], [4, -1, -1]], [3, 1])
    """
    check_flags("pad_packed_sequence", batch_first=batch_first)
    steps = steps_of_packed(sequence)
    sizes, longest = steps.sum(axis=0), len(steps)
    if total_length is not None:
        check_integers("pad_packed_sequence", longest, total_length=total_length)
        steps = steps_of(sizes, total_length)
    x = _padded(sequence.data, steps, padding_value)
    lengths = ops.asarray(sizes, device="cpu")
    if sequence.unsorted_indices is not None:
        x = ops.take(x, sequence.unsorted_indices, axis=1)
        lengths = ops.take(lengths, sequence.unsorted_indices.to_device("cpu"), axis=0)
    return (ops.moveaxis(x, 0, 1) if batch_first else x), lengths


@named
def pad_sequence(
    sequences: Iterable[Any],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (Lᵢ, …) as one padded batch (T, N, …), or (N, T, …): T is the largest of the Lᵢ.

    padding_side    "right": behind the sequences; "left": before them

    >>> xs = [minidl.tensor([1, 2, 3]), minidl.tensor([4])]
    >>> nn.utils.rnn.pad_sequence(xs, batch_first=True).tolist()
    [[1, 2, 3], [4, 0, 0]]
    >>> nn.utils.rnn.pad_sequence(xs, batch_first=True, padding_side="left").tolist()
    [[1, 2, 3], [0, 0, 4]]
    """
    check_flags("pad_sequence", batch_first=batch_first)
    check_choice("pad_sequence", ("right", "left"), padding_side=padding_side)
    xs = _sequences(sequences)
    sizes = np.array([x.shape[0] for x in xs])
    steps = steps_of(sizes, sizes.max())
    if padding_side == "left":
        steps = steps[::-1]
    batch = _padded(ops.concat(xs), np.ascontiguousarray(steps.T), padding_value)
    return batch if batch_first else ops.moveaxis(batch, 0, 1)


@named
def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch (T, N, …), or (N, T, …), without what is behind them.

    >>> nn.utils.rnn.unpad_sequence(minidl.tensor([[1, 2], [3, 0]]), [2, 1], batch_first=True)
    [Tensor([1, 2], int64), Tensor([3], int64)]
    """
    check_flags("unpad_sequence", batch_first=batch_first)
    x = _time_major("padded_sequences", padded_sequences, batch_first)
    sizes = lengths_of("lengths", lengths, x.shape[1], 0, x.shape[0], of="padded_sequences")
    return [one[:n] for one, n in zip(ops.unstack(x, axis=1), sizes.tolist(), strict=True)]


@named
def pack_sequence(sequences: Iterable[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (Lᵢ, …) as a packed batch.

    enforce_sorted    they are sorted, the longest first; False: they are sorted here

    >>> packed = nn.utils.rnn.pack_sequence([minidl.tensor([1, 2]), minidl.tensor([3])])
    >>> packed.data
    Tensor([1, 3, 2], int64)
    """
    check_flags("pack_sequence", enforce_sorted=enforce_sorted)
    xs = _sequences(sequences)
    return _packed(pad_sequence(xs), [x.shape[0] for x in xs], enforce_sorted)


@named
def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed batch, in the order in which they were before.

    >>> xs = [minidl.tensor([1, 2]), minidl.tensor([3])]
    >>> nn.utils.rnn.unpack_sequence(nn.utils.rnn.pack_sequence(xs))
    [Tensor([1, 2], int64), Tensor([3], int64)]
    """
    padded, lengths = pad_packed_sequence(packed_sequences)
    return unpad_sequence(padded, lengths)


def steps_of_packed(packed: Any) -> np.ndarray:
    """Which steps each sequence of a packed batch has: (T, N), the longest first.

    These are also the places of its data in the padded batch.
    """
    if not isinstance(packed, PackedSequence):
        raise DTypeError(f"needs a PackedSequence; got {describe(packed)}")
    sizes = packed.batch_sizes.numpy()
    return np.arange(sizes[0]) < sizes[:, None]


def _padded(data: Tensor, places: np.ndarray, padding_value: float) -> Tensor:
    """The data at the places (A, B) that are True, row by row, and padding elsewhere: (A, B, …)."""
    whole = data.dtype.kind in "iub"
    fits = isinstance(padding_value, Real)
    if not fits or whole and (not isfinite(padding_value) or padding_value != int(padding_value)):
        kind = f"an integer, as {data.dtype} needs it" if whole else "a number"
        raise ArgumentError(f"padding_value is {kind}; got {describe(padding_value)}")
    shape = *places.shape, *data.shape[1:]
    padding = ops.full(shape, padding_value, dtype=data.dtype, device=data.device)
    return put_at(padding, data, ops.asarray(places, device=data.device))


def _time_major(name: str, given: Any, batch_first: bool) -> Tensor:
    """A padded batch as (T, N, …)."""
    x = ops.asarray(given)
    if x.ndim < 2:
        needs = "(N, T, …)" if batch_first else "(T, N, …)"
        raise ShapeError(f"needs {name} of shape {needs}; got {x.shape}")
    return ops.moveaxis(x, 0, 1) if batch_first else x


def _sequences(given: Any) -> list[Tensor]:
    """Sequences as tensors (Lᵢ, …), alike but for their lengths."""
    if isinstance(given, Tensor) and not given.ndim:
        raise ShapeError("needs sequences; got a tensor without axes")
    items = ops.unstack(given) if isinstance(given, Tensor) else listed("", "sequences", given)
    xs = [ops.asarray(x) for x in items]
    if not xs:
        raise ArgumentError("needs a sequence at least; got none")
    if any(not x.ndim or x.shape[1:] != xs[0].shape[1:] for x in xs):
        shapes = ", ".join(str(x.shape) for x in xs)
        raise ShapeError(f"needs sequences (L, …), alike but for their lengths; got {shapes:.80}")
    return xs


def _check_data(data: Any, batch_sizes: Any) -> int:
    """The number of sequences; an error unless the data is that of so many at each step."""
    if not isinstance(data, Tensor) or not data.ndim:
        raise DTypeError(f"PackedSequence: data is a tensor (Σ lengths, …); got {describe(data)}")
    sizes = _whole_numbers("PackedSequence: batch_sizes", batch_sizes)
    if not len(sizes) or (np.diff(sizes) > 0).any() or sizes[-1] < 1 or sizes.sum() != len(data):
        raise ShapeError(
            f"PackedSequence: batch_sizes are above 0, do not rise, and have the sum {len(data)} "
            f"of data {data.shape}; got {sizes.tolist()!s:.60}"
        )
    return int(sizes[0])


def _inverse(name: str, permutation: Any) -> np.ndarray:
    """The inverse of what is to be a permutation."""
    given = _whole_numbers(name, permutation)
    if (np.sort(given) != np.arange(len(given))).any():
        raise ArgumentError(
            f"{name} has each of 0 … {len(given) - 1} once; got {given.tolist()!s:.60}"
        )
    return np.argsort(given)


def _whole_numbers(name: str, given: Any) -> np.ndarray:
    """A vector of integers as a NumPy array."""
    if not isinstance(given, Tensor) or given.ndim != 1 or given.dtype.kind not in "iu":
        raise DTypeError(f"{name} is a tensor of integers, with one axis; got {describe(given)}")
    return given.numpy()
