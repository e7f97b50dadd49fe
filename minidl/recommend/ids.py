"""Ids of users and items, and the numbers that stand for them in arrays: their codes."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, BoundsError, DTypeError

_SHOWN = 5  # unknown ids that an error names


class Ids(Sequence[Hashable]):
    """Ids, any hashable values, numbered from 0 in the order in which they first occurred.

    `ids[code]` is the id of a code, and `ids.codes(values)` are the codes of ids.  What Python
    holds to be equal is one id: 1, 1.0 and np.int64(1), but not "1".  None and NaN are no ids.

    >>> from minidl.recommend import Ids
    >>> ids, codes = Ids.encode(["b", "a", "b"])
    >>> list(ids), codes.tolist(), ids.codes(["a"]).tolist()
    (['b', 'a'], [0, 1, 0], [1])
    """

    def __init__(self, values: Iterable[Hashable], what: str = "id") -> None:
        self.what = what
        self._values = [_plain(value) for value in values]
        self._codes = {value: code for code, value in enumerate(self._values)}
        if len(self._codes) < len(self._values):
            raise ArgumentError(f"{what}: each must occur once; {self._first_twice()!r} does twice")

    def _first_twice(self) -> Hashable:
        return next(v for code, v in enumerate(self._values) if self._codes[v] != code)

    @classmethod
    def encode(cls, values: Any, what: str = "id") -> tuple["Ids", np.ndarray]:
        """The different ids among values, and the code of each value, int32."""
        return cls((), what).extended(values)

    def extended(self, values: Any) -> tuple["Ids", np.ndarray]:
        """These ids followed by those among values that are new, and the code of each value."""
        distinct, places = _distinct(values, self.what)
        new = [value for value in distinct if value not in self._codes]
        ids = Ids([*self._values, *new], self.what) if new else self
        codes = np.fromiter((ids._codes[value] for value in distinct), np.int32, len(distinct))
        return ids, codes[places]

    def codes(self, values: Any, unknown: str = "error") -> np.ndarray:
        """The code of each id, int32; unknown ones are a BoundsError, or −1 with unknown="-1"."""
        distinct, places = _distinct(values, self.what)
        codes = np.fromiter((self._codes.get(v, -1) for v in distinct), np.int32, len(distinct))
        if unknown == "error" and codes.size and codes.min() < 0:
            missing = [repr(v) for v, code in zip(distinct, codes, strict=True) if code < 0]
            raise BoundsError(
                f"unknown {self.what} {', '.join(missing[:_SHOWN])}"
                + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
                + f": not among the {len(self)} that were fitted{self._hint(distinct)}"
            )
        return codes[places]

    def _hint(self, given: Sequence[Hashable]) -> str:
        """What is probably wrong if ids of another type were given."""
        kinds = {type(value).__name__ for value in self._values[:1000]}
        others = {type(value).__name__ for value in given} - kinds
        return f", which are of type {', '.join(sorted(kinds))}" if others and kinds else ""

    def decode(self, codes: Iterable[int]) -> list[Hashable]:
        """The ids of codes."""
        return [self._values[code] for code in codes]

    def __getitem__(self, code: Any) -> Any:
        return self._values[code]

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._values)

    def __contains__(self, value: object) -> bool:
        return value in self._codes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ids) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Ids({len(self)} × {self.what})"


def _distinct(values: Any, what: str) -> tuple[list[Hashable], np.ndarray]:
    """The different values in the order in which they first occur, and the place of each value."""
    array = _homogeneous(values)
    if array is None:
        table: dict[Hashable, int] = {}
        try:
            codes = [table.setdefault(_plain(value), len(table)) for value in values]
        except TypeError as error:
            raise DTypeError(f"{what}: needs hashable values ({error})") from None
        _check_present(table, what)
        return list(table), np.array(codes, np.int64)
    if array.ndim != 1:
        raise ArgumentError(f"{what}: needs a sequence of ids; got an array {array.shape}")
    if array.dtype.kind != "U" and (found := _distinct_in_range(array)) is not None:
        return found
    distinct, first, places = np.unique(array, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return distinct[order].tolist(), rank[places]


def _distinct_in_range(array: np.ndarray) -> tuple[list[Hashable], np.ndarray] | None:
    """`_distinct` of integers by a table of their range, without sorting; None if it is large."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, -1)
    if high - low >= 4 * array.size:
        return None
    wide = array.dtype if array.dtype == np.uint64 else np.dtype(np.int64)
    offsets = (array.astype(wide) - wide.type(low)).astype(np.int64)
    first = np.full(high - low + 1, array.size, np.int64)
    first[offsets[::-1]] = np.arange(array.size)[::-1]  # of repeated indices the last one counts
    order = np.argsort(first, kind="stable")[: np.count_nonzero(first < array.size)]
    code = np.empty(first.size, np.int64)
    code[order] = np.arange(order.size)
    return (order.astype(wide) + wide.type(low)).tolist(), code[offsets]


def _homogeneous(values: Any) -> np.ndarray | None:
    """An array of integers or of texts; None if they are neither, or of several types."""
    if isinstance(values, list | tuple):
        if set(map(type, values)) == {int}:
            array = np.array(values)
            return array if array.dtype.kind == "i" else None  # beyond int64: objects
        return None
    if not isinstance(values, np.ndarray):
        if not hasattr(values, "__array__"):
            return None
        values = np.asarray(values)  # a column of a DataFrame, a tensor
    return values if values.dtype.kind in "iuU" else None


def _plain(value: Any) -> Hashable:
    """A NumPy scalar as the Python number or text that it is."""
    return value.item() if isinstance(value, np.generic) else value


def _check_present(table: dict[Hashable, int], what: str) -> None:
    """Raise ArgumentError if a value is missing: None, NaN, pandas's NA or NaT."""
    for value in table:
        if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
            raise ArgumentError(
                f"{what}: {value!r} is no id; remove the rows in which it is missing"
            )
