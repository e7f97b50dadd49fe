"""Rankings: the best items for each user, as ids with their scores."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np

from minidl.backends import threads
from minidl.backends.kernels.recommend.largest import largest
from minidl.recommend.ids import Ids


class Scored(NamedTuple):
    """An id and its score.

    >>> from minidl.recommend import Scored
    >>> Scored("tea", 0.5)
    Scored(id='tea', score=0.5)
    """

    id: Hashable
    score: float


class Ranking(Sequence[list[Scored]]):
    """For each of some users, or items, the best ids, in the order of their scores.

    codes     (users, n), int32: the codes of the ids, −1 where there are fewer
    scores    (users, n), float32: descending; −∞ where there are fewer

    `ranking[i]` is the list for the i-th.  Equal scores are in the order of the codes.

    >>> from minidl.recommend import Popularity
    >>> model = Popularity().fit((["ann", "ben", "ben"], ["tea", "tea", "rum"]))
    >>> model.recommend(["ann"])[0]
    [Scored(id='rum', score=1.0)]
    """

    def __init__(self, ids: Ids, codes: np.ndarray, scores: np.ndarray) -> None:
        self.ids, self.codes, self.scores = ids, codes, scores

    @overload
    def __getitem__(self, i: int) -> list[Scored]: ...
    @overload
    def __getitem__(self, i: slice) -> "Ranking": ...
    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return Ranking(self.ids, self.codes[i], self.scores[i])
        present = self.codes[i] >= 0
        codes, scores = self.codes[i][present].tolist(), self.scores[i][present].tolist()
        return [Scored(self.ids[c], s) for c, s in zip(codes, scores, strict=True)]

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[list[Scored]]:
        return (self[i] for i in range(len(self)))

    @property
    def items(self) -> list[list[Hashable]]:
        """The ids without their scores."""
        return [[scored.id for scored in row] for row in self]

    def __repr__(self) -> str:
        return f"Ranking({len(self)} lists of up to {self.codes.shape[1]} × {self.ids.what})"


def top_n(
    scores: np.ndarray, n: int, seen: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The n largest of each row, descending: (codes, scores); −1 and −∞ where a row has fewer.

    scores    (rows, columns), float32, and changed: −∞ is never chosen, NaN neither; of equal
              scores, those of smaller columns come first
    seen      the columns that are left out of each row: bounds (rows + 1,) and columns
    """
    rows = len(scores)
    bounds, columns = seen or (np.zeros(rows + 1, np.int64), np.empty(0, np.int32))
    codes, values = np.empty((rows, n), np.int32), np.empty((rows, n), np.float32)
    bounds, columns = bounds.astype(np.int64, copy=False), columns.astype(np.int32, copy=False)
    largest(scores, bounds, columns, codes, values, threads.chunks(0.2 * scores.size))
    return codes, values
