"""Slope One: for each item the mean differences of its ratings from those of all others.

As for similarities (`recommend.neighbors`), the sums of one item with all others are accumulated
over the ratings of the users who rated it, used at once for all users that are asked for, and
forgotten: the differences of all pairs, items², never exist.

Cost: for each item the ratings of its users, and for each pair that is predicted those of the user.
Sums are float64, in the order of the users; any number of threads gives the same bits.
"""

import numpy as np

from minidl.backends.kernels.recommend.neighbors import SPARSE, Sparse, balanced, entries_met
from minidl.backends.kernels.runtime.kernel import inner, parallel

_DIFFERENCE, _RATING, _ROW = 3.0, 3.0, 1.0  # nanoseconds on one thread


def slope_one(
    rated: Sparse,
    by_user: Sparse,
    ratings: Sparse,
    means: np.ndarray,
    groups: tuple[np.ndarray, np.ndarray, np.ndarray],
    weighted: bool,
) -> np.ndarray:
    """The prediction for pairs of item and user.

    rated      (items, users): the ratings that differences are of; `by_user` the same by users
    ratings    (users, items): of the users that predictions are for, with their means, float64
    groups     the items, where the users of each start, and the users
    weighted   whether a difference counts as often as there are users who rated both
    """
    items, starts, users = groups
    result = np.empty(users.size, np.float32)
    lengths = np.append(0, np.cumsum(np.diff(ratings.starts)[users]))[starts]
    met = entries_met(rated, by_user)[items]
    width = rated.starts.size - 1
    bounds, chunks = balanced(met * _DIFFERENCE + np.diff(lengths) * _RATING + width * _ROW)
    sums = np.zeros((chunks, 2 * width))
    _slope_one(bounds, rated, by_user, ratings, means, groups, weighted, sums, result, chunks)
    return result


@parallel(
    f"i64[bounds] {SPARSE} {SPARSE} {SPARSE} f64[users] (i64[groups] i64[starts] i64[pairs]) bool "
    "f64[chunks,sums] f32[pairs]"
)
def _slope_one(
    bounds, rated, by_user, ratings, means, groups, weighted, sums, result, chunk, chunks
):
    items, starts, users = groups
    table = sums[chunk]
    for group in range(bounds[chunk], bounds[chunk + 1]):
        item = items[group]
        table[:] = 0
        _add_differences(item, rated, by_user, table)
        table[2 * item] = 0
        for pair in range(starts[group], starts[group + 1]):
            user = users[pair]
            first, last = ratings[0][user], ratings[0][user + 1]
            own, values = ratings[1][first:last], ratings[2][first:last]
            result[pair] = _predicted(own, values, table, means[user], weighted)


@inner
def _add_differences(item, rated, by_user, table):
    """For each other item: how many users rated both, and Σ (the item's rating − the other's)."""
    starts, users, ratings = rated
    for e in range(starts[item], starts[item + 1]):
        first, last = by_user[0][users[e]], by_user[0][users[e] + 1]
        others, values = by_user[1][first:last], by_user[2][first:last]
        rating = np.float64(ratings[e])
        for i in range(others.size):
            place = np.uint64(2) * np.uint64(others[i])
            table[place] += 1
            table[place + np.uint64(1)] += rating - np.float64(values[i])


@inner
def _predicted(own, values, table, mean, weighted):
    """From the user's ratings of items that have a user in common with the item."""
    total, count = 0.0, 0.0
    for i in range(own.size):
        n, difference = table[2 * own[i]], table[2 * own[i] + 1]
        if n > 0:
            total += difference + n * np.float64(values[i]) if weighted else difference / n
            count += n if weighted else 1.0
    if count == 0:
        return np.float32(mean)
    return np.float32(total / count if weighted else mean + total / count)
