"""The evaluation of one recommender by interactions that it has not seen."""

import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minidl.checks import check_choice, check_flags, check_instance, check_integers, check_numbers
from minidl.errors import ArgumentError, listed
from minidl.recommend.evaluation import metrics as definitions
from minidl.recommend.evaluation.judging import GAINS, Lists, lists, predictions, translated
from minidl.recommend.interactions import Interactions
from minidl.recommend.recommender import Recommender


class Evaluation(Mapping[str, float]):
    """The value of each metric: `result["ndcg@10"]`.

    per_user           for each metric of lists its value for each user, (U,), float64, whose mean
                       is the metric
    users              the ids of these U users: those with a relevant item in the test data
    fit_seconds        what `fit` took; None where the model was fitted before
    predict_seconds    what predictions and lists took

    >>> from minidl.recommend import Popularity, evaluate
    >>> result = evaluate(Popularity(), ([1, 2, 2], [7, 7, 8]), ([1], [8]), metrics=["mrr", "hr"])
    >>> result["hr@10"], result.per_user["mrr@10"], result.users
    (1.0, array([1.]), [1])
    """

    def __init__(
        self,
        values: Mapping[str, float],
        per_user: Mapping[str, np.ndarray],
        users: Sequence[Hashable],
        fit_seconds: float | None,
        predict_seconds: float,
    ) -> None:
        self._values = dict(values)
        self.per_user, self.users = dict(per_user), list(users)
        self.fit_seconds, self.predict_seconds = fit_seconds, predict_seconds

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def to_dict(self) -> dict[str, Any]:
        """The metrics and times, as plain numbers."""
        times = {"fit_seconds": self.fit_seconds, "predict_seconds": self.predict_seconds}
        return {**self._values, "users": len(self.users), **times}

    def __repr__(self) -> str:
        return f"Evaluation({', '.join(f'{n} {v:.4f}' for n, v in self.items())})"


def evaluate(
    model: Recommender,
    train: Any,
    test: Any,
    k: int | Sequence[int] = 10,
    metrics: Sequence[str] | None = None,
    *,
    threshold: float | None = None,
    gains: str = "binary",
    exclude_seen: bool = True,
    clip: bool = True,
) -> Evaluation:
    """Judge a recommender by test interactions.

    model           it is fitted to `train`, unless it has been fitted before
    train, test     what `Interactions.of` takes
    k               the length of the lists, or several: each metric of lists is computed for each
    metrics         "rmse" and "mae", of the predicted ratings of all test interactions; "hr",
                    "ndcg", "map", "mrr", "precision" and "recall", of the lists, which are the k
                    best of *all* items, none of them sampled; "coverage", "novelty" and "gini" of
                    the catalogue.  `minidl.recommend.evaluation.metrics` defines each.  By default
                    all, but for rmse and mae where there are no ratings, or the model's scores are
                    none (`RATES`)
    threshold       the least rating of a relevant item; by default all test items are relevant
    gains           of relevant items, in ndcg: "binary", all 1; "linear", the ratings (Järvelin,
                    Kekäläinen 2002); "exponential", 2^rating − 1 (Burges et al. 2005)
    exclude_seen    items that the user met in training are neither in lists nor relevant
    clip            limit predicted ratings to the range of those in `train`

    Users without a relevant item have no list, and are left out of all metrics but rmse and mae.
    Items that the model does not know are relevant all the same, which costs recall; the list of an
    unknown user is empty.  Lists of more than there are items are filled with nothing, which costs
    precision.  Memory is that of the lists, users × k, and of scores of a block of users.

    W. Krichene, S. Rendle: On sampled metrics for item recommendation, KDD 2020, says why items are
    not sampled.

    >>> from minidl.recommend import Biases, evaluate
    >>> train, test = ([1, 1, 2, 2], [7, 8, 7, 9], [5, 3, 4, 1]), ([1, 2], [9, 8], [2, 3])
    >>> evaluate(Biases(), train, test, k=1, metrics=["mae", "hr", "coverage"])
    Evaluation(mae 0.6312, hr@1 1.0000, coverage@1 0.6667)
    """
    check_instance("evaluate", Recommender, model=model)
    train, test = Interactions.of(train), Interactions.of(test)
    names, lengths = _checked(k, metrics, threshold, gains, exclude_seen, clip)
    if not len(test):
        raise ArgumentError("evaluate: there are no test interactions")
    if test.ratings is None:
        _refuse_without_ratings(names if metrics is not None else [], threshold)
    fit_seconds = None
    if model.data is None:
        start = time.perf_counter()
        model.fit(train)
        fit_seconds = time.perf_counter() - start
    start = time.perf_counter()
    values = _of_errors(model, train, test, names, metrics is not None, clip)
    per_user: dict[str, np.ndarray] = {}
    users: list[Hashable] = []
    if wanted := [name for name in names if name not in definitions.OF_ERRORS]:
        found = lists(model, test, max(lengths), threshold, gains, exclude_seen)
        per_user = _of_lists(found, wanted, lengths)
        users = test.users.decode(found.users.tolist())
        values.update({name: float(each.mean()) for name, each in per_user.items()})
        values.update(_of_catalogue(model, train, found, wanted, lengths))
    return Evaluation(values, per_user, users, fit_seconds, time.perf_counter() - start)


def _checked(
    k: Any, metrics: Any, threshold: Any, gains: Any, exclude_seen: Any, clip: Any
) -> tuple[list[str], list[int]]:
    """The names of the metrics and the lengths of the lists, after a check of all settings."""
    lengths = listed("evaluate", "a length, or a list of them", k) if np.ndim(k) else [k]
    for length in lengths:
        check_integers("evaluate", 1, k=length)
    given = definitions.NAMES if metrics is None else metrics
    names = listed("evaluate", "a list of metrics", None if isinstance(given, str) else given)
    for name in names:
        check_choice("evaluate", definitions.NAMES, metrics=name)
    if not names or not lengths:
        raise ArgumentError("evaluate: needs a metric and a length of lists")
    if threshold is not None:
        check_numbers("evaluate", finite=True, threshold=threshold)
    check_choice("evaluate", GAINS, gains=gains)
    check_flags("evaluate", exclude_seen=exclude_seen, clip=clip)
    return names, sorted(set(lengths))


def _refuse_without_ratings(asked: Sequence[str], threshold: float | None) -> None:
    """Raise ArgumentError if something is asked for that needs ratings of the test data."""
    needs = [name for name in asked if name in definitions.OF_ERRORS]
    if needs or threshold is not None:
        raise ArgumentError(
            f"evaluate: {(*needs, 'threshold')[0]} needs ratings, and the test data have none"
        )


def _of_errors(
    model: Recommender,
    train: Interactions,
    test: Interactions,
    names: Sequence[str],
    asked: bool,
    clip: bool,
) -> dict[str, float]:
    """rmse and mae, if they are wanted, and asked for or meaningful."""
    wanted = [name for name in names if name in definitions.OF_ERRORS]
    if not wanted or not asked and (test.ratings is None or not model.RATES):
        return {}
    ratings = train.ratings
    limits = None
    if clip and model.RATES and ratings is not None and ratings.size:
        limits = float(ratings.min()), float(ratings.max())
    predicted = predictions(model, test, limits)
    return {name: definitions.OF_ERRORS[name](predicted, test.ratings) for name in wanted}


def _of_lists(found: Lists, names: Sequence[str], lengths: Sequence[int]) -> dict[str, np.ndarray]:
    """The metrics of lists for each user."""
    of_lists = definitions.OF_LISTS
    kinds = [name for name in names if name in of_lists]
    return {f"{name}@{k}": of_lists[name](found.judged, k) for name in kinds for k in lengths}


def _of_catalogue(
    model: Recommender,
    train: Interactions,
    found: Lists,
    names: Sequence[str],
    lengths: Sequence[int],
) -> dict[str, float]:
    """coverage, novelty and gini of the lists, as far as they are wanted."""
    items, values = len(model.items), {}
    kinds = [name for name in names if name in definitions.OF_CATALOGUE]
    counts = _users_of_items(model, train)
    for name in kinds:
        for k in lengths:
            ranked = found.ranked[:, :k]
            if name == "novelty":
                values[f"{name}@{k}"] = definitions.novelty(ranked, counts, len(train.users))
            else:
                values[f"{name}@{k}"] = getattr(definitions, name)(ranked, items)
    return values


def _users_of_items(model: Recommender, train: Interactions) -> np.ndarray:
    """How many users met each of the model's items in the training data."""
    codes = translated(train.items, model.items)
    met = np.bincount(train.matrix.indices, minlength=len(train.items))
    counts = np.zeros(len(model.items), np.int64)
    counts[codes[codes >= 0]] = met[codes >= 0]
    return counts
