"""Matrix factorisation of ratings beside scikit-surprise: RMSE and training time on the same folds.

    python -m bench.factorization                  MovieLens 100k, 5-fold cross-validation
    python -m bench.factorization FILE             ratings of a file: user, item, rating, by tabs
    python -m bench.factorization --only SVD --folds 2

In each fold both sides learn the same four fifths, one after the other, and predict the last fifth.
The RMSE is the mean over the folds, seconds are the median of the training times; scikit-surprise
uses one thread, minidl those that it has.  "as Surprise" stands for its settings; the other rows
have the defaults of both sides.  Published: https://surpriselib.com, SVD 0.934, SVD++ 0.919, NMF
0.963.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, median

import numpy as np

import minidl
from minidl.recommend import ALS, NMF, Interactions, MatrixFactorization, Recommender, SVDpp


@dataclass(frozen=True)
class Case:
    """A model of minidl's, and the name and the settings of Surprise's."""

    ours: Callable[[], Recommender]
    theirs: str | None = None


CASES = {
    "SVD": Case(MatrixFactorization, "SVD"),
    "SVD as Surprise": Case(lambda: MatrixFactorization(100, 0.02, 20, 0.005), "SVD"),
    "SVD++": Case(SVDpp, "SVDpp"),
    "SVD++ as Surprise": Case(lambda: SVDpp(20, 0.02, 20, 0.007), "SVDpp"),
    "NMF": Case(NMF, "NMF"),
    "NMF as Surprise": Case(lambda: NMF(15, 0.06, 50), "NMF"),
    "ALS": Case(ALS),
    "ALS 50 factors": Case(lambda: ALS(50)),
}


def main() -> None:
    """Print a line for each method."""
    parser = argparse.ArgumentParser(prog="bench.factorization", description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", help="ratings; MovieLens 100k by default")
    parser.add_argument("--folds", type=int, default=5, help="how many of the five to run")
    parser.add_argument("--only", default=",".join(CASES), help="methods, separated by commas")
    chosen = parser.parse_args()
    data = Interactions.of(_read(chosen.file) if chosen.file else minidl.data.movielens_100k())
    print(f"{data}, {minidl.get_num_threads()} threads")
    print(f"{'':<20}{'RMSE':>8}{'Surprise':>10}{'seconds':>10}{'Surprise':>10}{'times':>8}")
    remembered: dict[str, list[tuple[float, float]]] = {}
    for name in chosen.only.split(","):
        print(f"{name:<20}{_line(CASES[name], data, chosen.folds, remembered)}", flush=True)


def _read(path: str) -> tuple[np.ndarray, ...]:
    """Users, items and ratings of a file, with a line of names or without."""
    with open(path) as file:
        rows = [line.split("\t")[:3] for line in file]
    if not rows[0][2].replace(".", "", 1).isdigit():
        del rows[0]
    users, items, ratings = zip(*rows, strict=True)
    return np.array(users), np.array(items), np.array(ratings, np.float32)


def _line(case: Case, data: Interactions, folds: int, remembered: dict) -> str:
    """The results of a method, and of Surprise's."""
    case.ours().fit(data.take(range(min(len(data), 1000))))  # loads the kernels
    ours, theirs = [], []
    for test in _folds(len(data))[:folds]:
        train = np.setdiff1d(np.arange(len(data)), test)
        ours.append(_run(case.ours(), data.take(train), data.take(test)))
        if case.theirs and case.theirs not in remembered:
            theirs.append(_run_surprise(case.theirs, data, train, test))
    if case.theirs:
        theirs = remembered.setdefault(case.theirs, theirs)
    return _described(ours, theirs)


def _folds(n: int) -> list[np.ndarray]:
    """The places of the ratings in each fifth."""
    order = np.random.default_rng(0).permutation(n)
    return np.array_split(order, 5)


def _run(model: Recommender, train: Interactions, test: Interactions) -> tuple[float, float]:
    """RMSE and seconds of training."""
    start = time.perf_counter()
    model.fit(train)
    seconds = time.perf_counter() - start
    scores = model._pairs(test.user_codes, test.item_codes)
    return float(np.sqrt(np.mean((scores.astype(np.float64) - test.ratings) ** 2))), seconds


def _run_surprise(
    name: str, data: Interactions, train: np.ndarray, test: np.ndarray
) -> tuple[float, float]:
    """The same of Surprise."""
    import pandas
    import surprise

    columns = {"user": data.user_codes, "item": data.item_codes, "rating": data.ratings}
    table = pandas.DataFrame(columns).iloc[train]
    reader = surprise.Reader(rating_scale=(float(data.ratings.min()), float(data.ratings.max())))
    trainset = surprise.Dataset.load_from_df(table, reader).build_full_trainset()
    model = getattr(surprise, name)(random_state=0)
    start = time.perf_counter()
    model.fit(trainset)
    seconds = time.perf_counter() - start
    rows = zip(*(column[test].tolist() for column in columns.values()), strict=True)
    errors = [model.predict(user, item).est - rating for user, item, rating in rows]
    return float(np.sqrt(np.mean(np.square(errors)))), seconds


def _described(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> str:
    rmse, seconds = mean(r for r, _ in ours), median(s for _, s in ours)
    if not theirs:
        return f"{rmse:8.4f}{'':>10}{seconds:10.3f}"
    other_rmse, other_seconds = mean(r for r, _ in theirs), median(s for _, s in theirs)
    ratio = other_seconds / seconds
    return f"{rmse:8.4f}{other_rmse:10.4f}{seconds:10.3f}{other_seconds:10.3f}{ratio:7.0f}×"


if __name__ == "__main__":
    main()
