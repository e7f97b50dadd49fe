"""Rankings: the best items for each user, as ids with their scores."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np

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


def top_n(scores: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n largest of each row, descending: (codes, scores); −1 and −∞ where a row has fewer.

    scores    (rows, columns), float32; −∞ is never chosen, NaN neither.  Of equal scores, those of
              smaller columns come first.
    """
    rows, columns = scores.shape
    kept = min(n, columns)
    usable = np.where(np.isnan(scores), -np.inf, scores)
    if kept < columns:
        boundary = -np.partition(-usable, kept - 1, axis=1)[:, kept - 1 : kept]
        above = usable > boundary
        ties = usable == boundary
        room = kept - np.count_nonzero(above, axis=1)[:, None]
        chosen = above | ties & (np.cumsum(ties, axis=1) <= room)
        codes = np.nonzero(chosen)[1].reshape(rows, kept)
    else:
        codes = np.broadcast_to(np.arange(columns), (rows, columns))
    values = np.take_along_axis(usable, codes, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    codes, values = np.take_along_axis(codes, order, 1), np.take_along_axis(values, order, 1)
    all_codes = np.full((rows, n), -1, np.int32)
    all_scores = np.full((rows, n), -np.inf, np.float32)
    all_codes[:, :kept], all_scores[:, :kept] = codes, values
    all_codes[all_scores == -np.inf] = -1
    return all_codes, all_scores
