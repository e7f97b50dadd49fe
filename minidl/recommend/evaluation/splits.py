"""Splits of interactions into what a recommender learns and what it is judged by."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minidl.checks import check_flags, check_integers, check_numbers
from minidl.data import splits as data_splits
from minidl.errors import ArgumentError
from minidl.ops.random import Generator, permutation
from minidl.recommend.interactions import Interactions


class Split(NamedTuple):
    """Two parts of the same interactions, each with the ids of all.

    >>> from minidl.recommend import evaluation
    >>> split = evaluation.random_split(([1, 1, 2], [7, 8, 7]), 0.3)
    >>> len(split.train), len(split.test)
    (2, 1)
    """

    train: Interactions
    test: Interactions


def random_split(data: Any, test: float = 0.2, *, seed: int = 0, per_user: bool = False) -> Split:
    """A random part of the interactions for testing, the others for training.

    data        what `Interactions.of` takes
    test        the fraction for testing: of n interactions the nearest whole number, but at least
                one and at most n − 1
    per_user    take that fraction of each user's interactions; then a user may have none for
                testing, but always keeps one for training

    >>> from minidl.recommend import evaluation
    >>> train, test = evaluation.random_split(([1, 1, 1, 2, 2], [7, 8, 9, 7, 8]), 0.4)
    >>> len(train), len(test), len(test.users)
    (3, 2, 2)
    """
    data = _checked("random_split", data)
    check_numbers("random_split", 0, 1, test=test)
    check_flags("random_split", per_user=per_user)
    place = _permutation("random_split", len(data), seed)
    if per_user:
        sizes = np.bincount(data.user_codes, minlength=len(data.users))
        quota = np.minimum(np.rint(test * sizes).astype(np.int64), sizes - 1)
        return _split(data, _number_from_end(data.user_codes, place) < quota[data.user_codes])
    return _split(data, place < np.clip(round(test * len(data)), 1, len(data) - 1))


def leave_last_out(data: Any, n: int = 1) -> Split:
    """The last n interactions of each user for testing, the others for training.

    The last are those with the largest times; of equal times, and where there are none, the last in
    place.  Users with n interactions or fewer keep them all for training.  Leave-one-out as in
    X. He et al.: Neural collaborative filtering, WWW 2017, section 4.1.

    >>> from minidl.recommend import evaluation
    >>> evaluation.leave_last_out(([1, 1, 2], [7, 8, 7], None, [5, 3, 4])).test.matrix.toarray()
    array([[1., 0.],
           [0., 0.]], dtype=float32)
    """
    data = _checked("leave_last_out", data)
    check_integers("leave_last_out", 1, n=n)
    times = np.zeros(len(data)) if data.times is None else data.times
    sizes = np.bincount(data.user_codes, minlength=len(data.users))
    is_last = _number_from_end(data.user_codes, times) < n
    is_test = is_last & (sizes > n)[data.user_codes]
    if not is_test.any():
        raise ArgumentError(f"leave_last_out: no user has more than {n} interactions")
    return _split(data, is_test)


def time_split(data: Any, quantile: float = 0.8) -> Split:
    """What happened up to a quantile of all times for training, what came later for testing.

    The only split in which nothing is learned from the future: the others let a model see how users
    that are like this one acted afterwards.  Y. Ji et al.: A critical study on data leakage in
    recommender system offline evaluation, ACM TOIS 41(3), 2023.

    >>> from minidl.recommend import evaluation
    >>> train, test = evaluation.time_split(([1, 2, 1, 2], [7, 7, 8, 8], None, [1, 2, 3, 4]), 0.5)
    >>> train.times.tolist(), test.times.tolist()
    ([1.0, 2.0], [3.0, 4.0])
    """
    data = _checked("time_split", data)
    check_numbers("time_split", 0, 1, quantile=quantile)
    if data.times is None:
        raise ArgumentError("time_split: these interactions have no times")
    is_test = data.times > np.quantile(data.times, quantile, method="lower")
    if not is_test.any():
        raise ArgumentError(f"time_split: nothing is later than the quantile {quantile}")
    return _split(data, is_test)


def k_fold(data: Any, folds: int = 5, *, seed: int = 0) -> Iterator[Split]:
    """The folds of cross-validation, shuffled: each interaction is for testing in one of them.

    >>> from minidl.recommend import evaluation
    >>> folds = evaluation.k_fold(([1, 1, 1, 2, 2], [7, 8, 9, 7, 8]), 2)
    >>> [(len(train), len(test)) for train, test in folds]
    [(2, 3), (3, 2)]
    """
    data = _checked("k_fold", data)
    check_integers("k_fold", 2, len(data), folds=folds)
    check_integers("k_fold", 0, seed=seed)
    places = data_splits.k_fold(len(data), folds, True, Generator(seed))
    return (Split(data.take(train), data.take(test)) for train, test in places)


def _checked(name: str, data: Any) -> Interactions:
    """The interactions, at least two."""
    data = Interactions.of(data)
    if len(data) < 2:
        raise ArgumentError(f"{name}: needs two interactions or more; got {len(data)}")
    return data


def _permutation(name: str, n: int, seed: int) -> np.ndarray:
    check_integers(name, 0, seed=seed)
    order: np.ndarray = permutation(n, device="cpu", generator=Generator(seed)).numpy()
    return order


def _number_from_end(groups: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """How many of its group come after each, in the order of the keys, then of the places."""
    order = np.lexsort((keys, groups))
    ends = np.cumsum(np.bincount(groups))
    number = np.empty(groups.size, np.int64)
    number[order] = ends[groups[order]] - 1 - np.arange(groups.size)
    return number


def _split(data: Interactions, is_test: np.ndarray) -> Split:
    return Split(data.take(~is_test), data.take(is_test))
