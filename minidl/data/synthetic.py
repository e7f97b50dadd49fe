"""Interactions that are made up, with the statistics of real ones, to any size."""

import numpy as np

from minidl.checks import check_flags, check_integers, check_numbers
from minidl.data.ratings import Ratings
from minidl.errors import ArgumentError

_TOPICS = 16  # what users have tastes for
_CONCENTRATION = 0.15  # of a user's tastes: small is few
_SPREAD = 2.0  # standard deviation of the logarithm of how well an item suits a topic
_LONGER = 1, 2, 4, 8, 16, 32  # rows than what is lacking, in rounds of drawing
_SCORES = 1 << 22  # that are computed at a time
_FIRST, _SPAN = 1_000_000_000, 3 * 365 * 86_400  # of times, in seconds


def synthetic_interactions(
    n: int,
    users: int,
    items: int,
    *,
    seed: int = 0,
    popularity: float = 0.8,
    activity: float = 1.0,
    noise: float = 0.7,
    distinct: bool = True,
) -> Ratings:
    """n interactions of users with items, of a power law, from which tastes can be learned.

    popularity    s of Zipf's law: the k-th item is met in proportion to k^−s
    activity      σ of how much users do, which is log-normal
    noise         standard deviation of what neither tastes nor biases explain in a rating
    distinct      whether a user meets an item at most once

    Each user has a mixture θ of 16 topics, Dirichlet(0.15), and each interaction has a topic t of
    it.  The item is drawn in proportion to k^−s·exp(2·g_it), with normal g: each topic has its
    favourites.  So interactions have a non-negative factorisation of rank 16, as in latent
    Dirichlet allocation: D. Blei, A. Ng, M. Jordan, JMLR 3, 2003.  The rating is 3 + b_u + b_i +
    θ_u·g_i / 2 + noise, rounded to 1 … 5, with normal b.  Times are uniform over three years, and
    ascend.  Users and items are numbered from 0; some may not occur.  The same arguments give the
    same data, with the same NumPy.

    Ten million distinct ones of 150,000 users and 30,000 items take some ten seconds and 0.6 GiB.

    >>> users, items, ratings, times = minidl.data.synthetic_interactions(1000, 100, 50)
    >>> len(set(zip(users.tolist(), items.tolist()))), ratings.min(), ratings.max()
    (1000, np.float32(1.0), np.float32(5.0))
    """
    owner = "synthetic_interactions"
    check_integers(owner, 1, n=n, users=users, items=items)
    check_integers(owner, 0, seed=seed)
    check_numbers(owner, 0, finite=True, popularity=popularity, activity=activity, noise=noise)
    check_flags(owner, distinct=distinct)
    if distinct and n > users * items:
        raise ArgumentError(
            f"{owner}: {users} users cannot meet {items} items in {n} distinct pairs; "
            "distinct=False lets pairs repeat"
        )
    rng = np.random.default_rng(seed)
    world = _World(rng, users, items, popularity)
    counts = _counts(rng, n, users, items if distinct else n, activity)
    keys = world.distinct(counts) if distinct else world.drawn(counts)
    rng.shuffle(keys)  # so that they are in the order of time
    who, what = np.divmod(keys, items)
    ratings = world.ratings(who, what, noise)
    times = np.sort(rng.integers(_FIRST, _FIRST + _SPAN, n)).astype(np.float64)
    return Ratings(who, what, ratings, times)


def _counts(
    rng: np.random.Generator, n: int, users: int, limit: int, activity: float
) -> np.ndarray:
    """How many interactions each user has, at most `limit`: log-normal, n in total."""
    weights = rng.lognormal(sigma=activity, size=users)
    counts, left = np.zeros(users, np.int64), n
    while left:
        free = counts < limit
        shares = np.where(free, weights, 0.0)
        shares *= left / shares.sum()
        more = np.floor(shares).astype(np.int64)
        rest = left - int(more.sum())
        if rest:  # to those with the largest remainders
            order = np.argsort(np.where(free, more - shares, np.inf), kind="stable")
            more[order[: min(rest, np.count_nonzero(free))]] += 1
        more = np.minimum(more, limit - counts)
        counts += more
        left -= int(more.sum())
    return counts


class _World:
    """Users with tastes, and items with topics."""

    def __init__(self, rng: np.random.Generator, users: int, items: int, popularity: float) -> None:
        self._rng, self._items = rng, items
        self._tastes = rng.gamma(_CONCENTRATION, size=(_TOPICS, users)) + 1e-6
        self._tastes /= self._tastes.sum(axis=0)
        self._fit = rng.standard_normal((_TOPICS, items))
        rank = rng.permutation(items) + 1
        self._weights = rank**-popularity * np.exp(_SPREAD * self._fit)
        self._weights /= self._weights.sum(axis=1, keepdims=True)

    def drawn(self, counts: np.ndarray) -> np.ndarray:
        """So many interactions of each user, as user·items + item; pairs may repeat."""
        users = np.repeat(np.arange(counts.size), counts)
        topics = self._topics(users)
        order = np.argsort(topics, kind="stable")
        bounds = np.searchsorted(topics[order], np.arange(_TOPICS + 1))
        items = np.empty(users.size, np.int64)
        for topic in range(_TOPICS):
            places = order[bounds[topic] : bounds[topic + 1]]
            items[places] = _sampled(self._rng, self._weights[topic], places.size)
        return users * self._items + items

    def _topics(self, users: np.ndarray) -> np.ndarray:
        """A topic for each, of the user's tastes."""
        position = self._rng.random(users.size)
        topics = np.zeros(users.size, np.int8)
        reached = np.zeros(users.size)
        for topic in range(_TOPICS - 1):
            reached += self._tastes[topic, users]
            topics += position >= reached
        return topics

    def distinct(self, counts: np.ndarray) -> np.ndarray:
        """So many items of each user, none of them twice, ascending.

        What a user met before is left out, and drawn again: of a longer row each time, as the user
        lacks what is hard to come by.  Those who still lack some are completed by Gumbel's trick,
        which gives the same distribution.
        """
        keys = np.zeros(0, np.int64)
        for times in _LONGER:
            lacking = counts - np.bincount(keys // self._items, minlength=counts.size)
            if not lacking.any():
                return keys
            more = self._first_new(self.drawn(lacking * times), keys, lacking)
            keys = np.sort(np.concatenate([keys, more]))
        return np.concatenate([keys, *self._completions(keys, counts)])

    def _first_new(self, drawn: np.ndarray, keys: np.ndarray, lacking: np.ndarray) -> np.ndarray:
        """Of the row that was drawn for each user the first new ones, as many as are lacking."""
        new, first = np.unique(drawn, return_index=True)
        if keys.size:
            places = np.minimum(np.searchsorted(keys, new), keys.size - 1)
            first = first[keys[places] != new]
        row = drawn[np.sort(first)]
        users = row // self._items
        ends = np.cumsum(np.bincount(users, minlength=lacking.size))
        number = np.arange(row.size) - (ends - np.diff(ends, prepend=0))[users]
        return row[number < lacking[users]]

    def _completions(self, keys: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
        """What users lack, drawn without replacement: the largest of log w + Gumbel noise.

        S. Efraimidis, P. Spirakis: Weighted random sampling with a reservoir, Information
        Processing Letters 97(5), 2006.
        """
        ends = np.searchsorted(keys, np.arange(counts.size + 1) * self._items)
        lacking = counts - np.diff(ends)
        parts = []
        users = np.flatnonzero(lacking)
        size = max(1, _SCORES // self._items)
        for block in (users[start : start + size] for start in range(0, users.size, size)):
            scores = np.log(self._tastes[:, block].T @ self._weights)
            scores += self._rng.gumbel(size=scores.shape)
            for row, user in zip(scores, block, strict=True):
                row[keys[ends[user] : ends[user + 1]] % self._items] = -np.inf
                best = np.argpartition(-row, lacking[user] - 1)[: lacking[user]]
                parts.append(user * self._items + best)
        return parts

    def ratings(self, users: np.ndarray, items: np.ndarray, noise: float) -> np.ndarray:
        """The ratings, float32."""
        user_bias, item_bias = (
            0.4 * self._rng.standard_normal((count,))
            for count in (self._tastes.shape[1], self._items)
        )
        values = 3.0 + user_bias[users] + item_bias[items]
        for tastes, fit in zip(self._tastes, self._fit, strict=True):
            values += 0.5 * tastes[users] * fit[items]
        values += self._rng.normal(0, noise, values.size)
        return np.clip(np.rint(values), 1, 5).astype(np.float32)


def _sampled(rng: np.random.Generator, weights: np.ndarray, n: int) -> np.ndarray:
    """n draws in proportion to the weights, by inversion of their cumulative sum."""
    bounds = np.cumsum(weights)
    drawn = np.searchsorted(bounds, rng.random(n) * bounds[-1], side="right")
    return np.minimum(drawn, weights.size - 1)
