"""What a recommender says of test interactions: predicted ratings, and lists, which are judged."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from minidl.errors import ArgumentError
from minidl.recommend.evaluation.metrics import Judged, judge_codes
from minidl.recommend.ids import Ids
from minidl.recommend.interactions import Interactions
from minidl.recommend.matrices import found_among, row_numbers
from minidl.recommend.recommender import Recommender

GAINS = "binary", "linear", "exponential"
_PAIRS = 1 << 20  # predictions that are made at a time


class Lists(NamedTuple):
    """The lists for the users that have relevant items in the test data.

    ranked    (U, K), int32: codes of the model's items, −1 for none
    users     (U,): codes of the test data's users
    """

    ranked: np.ndarray
    users: np.ndarray
    judged: Judged


def predictions(
    model: Recommender, test: Interactions, limits: tuple[float, float] | None
) -> np.ndarray:
    """The predicted rating of each test interaction, (n,), float64, within limits.

    A user or an item that the model does not know gets what it predicts without it.
    """
    users = translated(test.users, model.users)[test.user_codes]
    items = translated(test.items, model.items)[test.item_codes]
    result = np.empty(users.size)
    order = np.argsort(users, kind="stable")  # models compute the scores of blocks of users
    for start in range(0, order.size, _PAIRS):
        places = order[start : start + _PAIRS]
        result[places] = model._pairs(users[places], items[places])
    if np.isnan(result).any():
        place = int(np.flatnonzero(np.isnan(result))[0])
        user, item = test.users[test.user_codes[place]], test.items[test.item_codes[place]]
        raise ArgumentError(f"evaluate: {model} predicts NaN for user {user!r} and item {item!r}")
    return result if limits is None else np.clip(result, *limits)


def lists(
    model: Recommender,
    test: Interactions,
    k: int,
    threshold: float | None,
    gains: str,
    exclude_seen: bool,
) -> Lists:
    """The k best of all items for each user with relevant items, judged by these."""
    truth = _relevant(test, threshold, gains)
    user_codes = translated(test.users, model.users)
    item_codes = translated(test.items, model.items)
    truth = _with_columns(truth, item_codes, len(model.items))
    if exclude_seen and model.data is not None:
        truth = _without_seen(truth, model.data.matrix, user_codes)
    users = np.flatnonzero(np.diff(truth.indptr))
    if not users.size:
        raise ArgumentError("evaluate: no user has a relevant item in the test data")
    known = user_codes[users] >= 0
    ranked = np.full((users.size, k), -1, np.int32)
    if known.any():
        ids = model.users.decode(user_codes[users[known]].tolist())
        ranked[known] = model.recommend(ids, k, exclude_seen=exclude_seen).codes
    return Lists(ranked, users, judge_codes(ranked, truth[users]))


def translated(ids: Ids, others: Ids) -> np.ndarray:
    """The codes among others of all ids; −1 for those that are not among them."""
    if ids is others:
        return np.arange(len(ids), dtype=np.int32)
    return others.codes(list(ids), "-1")


def _relevant(test: Interactions, threshold: float | None, gains: str) -> sparse.csr_array:
    """The gains of the relevant items of each user, stored where they are relevant."""
    ratings = test.ratings
    chosen = test if ratings is None or threshold is None else test.take(ratings >= threshold)
    matrix = chosen.matrix.astype(np.float64)
    if gains == "binary":
        matrix.data[:] = 1
    elif (matrix.data < 0).any():
        raise ArgumentError(f"evaluate: {gains} gains need ratings ≥ 0; got {matrix.data.min():g}")
    elif gains == "exponential":
        matrix.data = np.exp2(matrix.data) - 1
    return matrix


def _with_columns(matrix: sparse.csr_array, columns: np.ndarray, count: int) -> sparse.csr_array:
    """The matrix with other columns; those without one, −1, follow after the count of these."""
    unknown = columns < 0
    moved = columns.astype(np.int64)
    moved[unknown] = count + np.arange(np.count_nonzero(unknown))
    shape = matrix.shape[0], count + np.count_nonzero(unknown)
    result = sparse.csr_array((matrix.data, moved[matrix.indices], matrix.indptr), shape=shape)
    result.sort_indices()
    return result


def _without_seen(
    truth: sparse.csr_array, seen: sparse.csr_array, rows: np.ndarray
) -> sparse.csr_array:
    """The relevant items that the user has not met, since others cannot be in the list."""
    width = max(truth.shape[1], 1)
    row = row_numbers(truth)
    keys = rows[row].astype(np.int64) * width + truth.indices
    met = row_numbers(seen).astype(np.int64)
    left = ~found_among(met * width + seen.indices, keys)[1]  # both matrices have sorted indices
    places = row[left], truth.indices[left]
    return sparse.csr_array((truth.data[left], places), shape=truth.shape)
