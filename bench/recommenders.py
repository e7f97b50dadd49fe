"""Recommenders of minidl's and of scikit-surprise's: RMSE in cross-validation on the same folds.

    python -m bench.recommenders                          all, on MovieLens 100k, five folds
    python -m bench.recommenders --only SVD,SlopeOne --folds 2
    python -m bench.recommenders --data FILE              any file that read_interactions reads

In each fold both sides learn the same interactions, one after the other, and predict the same rest.
Both clip predictions to the scale of the ratings.  Given are the mean over the folds and the median
of the seconds that `fit` takes; scikit-surprise has one thread, minidl those that it has.  "alike"
means the settings of the other side; other rows compare defaults.  Published are the RMSEs of
https://surpriselib.com, of other folds.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, median
from types import ModuleType
from typing import Any

import numpy as np

import minidl
from minidl import recommend
from minidl.recommend import Interactions, Recommender
from minidl.recommend.evaluation import Split, evaluate, k_fold


@dataclass(frozen=True)
class Case:
    """A recommender of `minidl.recommend`, and one of the module `surprise`, if it has any."""

    ours: Callable[[ModuleType], Recommender]
    theirs: Callable[[ModuleType], Any] | None = None
    published: float | None = None


_ITEMS = {"name": "pearson_baseline", "user_based": False}
CASES = {
    "GlobalMean": Case(lambda r: r.GlobalMean()),
    "Biases": Case(lambda r: r.Biases(), lambda s: s.BaselineOnly(verbose=False), 0.944),
    "KNN": Case(lambda r: r.UserKNN(40, "msd", "mean"), lambda s: s.KNNBasic(verbose=False), 0.98),
    "KNN with means": Case(
        lambda r: r.UserKNN(40, "msd", "mean_centered"),
        lambda s: s.KNNWithMeans(verbose=False),
        0.951,
    ),
    "KNN with z-score": Case(
        lambda r: r.UserKNN(40, "msd", "z_score"), lambda s: s.KNNWithZScore(verbose=False)
    ),
    "KNN baseline": Case(
        lambda r: r.UserKNN(40, "msd", "baseline"), lambda s: s.KNNBaseline(verbose=False), 0.931
    ),
    "UserKNN": Case(lambda r: r.UserKNN(), lambda s: s.KNNBaseline(verbose=False), 0.931),
    "ItemKNN": Case(
        lambda r: r.ItemKNN(), lambda s: s.KNNBaseline(sim_options=_ITEMS, verbose=False)
    ),
    "SlopeOne": Case(lambda r: r.SlopeOne(), lambda s: s.SlopeOne(), 0.946),
    "CoClustering": Case(
        lambda r: r.CoClustering(), lambda s: s.CoClustering(random_state=0), 0.963
    ),
    "SVD": Case(lambda r: r.MatrixFactorization(), lambda s: s.SVD(random_state=0), 0.934),
    "SVD alike": Case(
        lambda r: r.MatrixFactorization(100, 0.02, 20, 0.005),
        lambda s: s.SVD(random_state=0),
        0.934,
    ),
    "SVD++": Case(lambda r: r.SVDpp(), lambda s: s.SVDpp(random_state=0), 0.919),
    "SVD++ alike": Case(
        lambda r: r.SVDpp(20, 0.02, 20, 0.007), lambda s: s.SVDpp(random_state=0), 0.919
    ),
    "NMF": Case(lambda r: r.NMF(), lambda s: s.NMF(random_state=0), 0.963),
    "NMF alike": Case(lambda r: r.NMF(15, 0.06, 50), lambda s: s.NMF(random_state=0), 0.963),
    "ALS": Case(lambda r: r.ALS()),
    "ALS 50 factors": Case(lambda r: r.ALS(50)),
}


def main(arguments: list[str] | None = None) -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(prog="bench.recommenders", description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="a file of ratings; MovieLens 100k by default")
    parser.add_argument("--folds", type=int, default=5, help="how many of the five to run")
    parser.add_argument("--seed", type=int, default=0, help="of the folds")
    parser.add_argument("--only", default=",".join(CASES), help="cases, separated by commas")
    chosen = parser.parse_args(arguments)
    given = minidl.data.read_interactions(chosen.data) if chosen.data else None
    data = Interactions.of(minidl.data.movielens_100k() if given is None else given)
    folds = list(k_fold(data, 5, seed=chosen.seed))[: chosen.folds]
    print(f"{data}, {len(folds)} folds, {minidl.get_num_threads()} threads")
    print(f"{'':<18}{'RMSE':>8}{'surprise':>10}{'published':>11}{'fit s':>9}{'surprise':>10}")
    for name in chosen.only.split(","):
        try:
            CASES[name].ours(recommend)
        except AttributeError as error:
            print(f"{name:<18}{error}")
            continue
        print(f"{name:<18}{line(CASES[name], folds)}", flush=True)


def line(case: Case, folds: list[Split]) -> str:
    """The results of a case."""
    first = folds[0].train
    case.ours(recommend).fit(first.take(np.arange(min(len(first), 1000))))  # loads the kernels
    ours, theirs = [], []
    for fold in folds:
        found = evaluate(case.ours(recommend), *fold, metrics=["rmse"])
        ours.append((found["rmse"], found.fit_seconds))
        if case.theirs is not None:
            theirs.append(of_surprise(case.theirs, fold))
    published = "–" if case.published is None else f"{case.published:.3f}"
    rmse, seconds = _mean_and_median(ours)
    other_rmse, other_seconds = _mean_and_median(theirs) if theirs else (None, None)
    return (
        f"{rmse:>8.4f}{_text(other_rmse, 4):>10}{published:>11}"
        f"{seconds:>9.2f}{_text(other_seconds, 2):>10}"
    )


def of_surprise(make: Callable[[ModuleType], Any], fold: Split) -> tuple[float, float]:
    """RMSE and seconds of training of scikit-surprise."""
    import pandas
    import surprise

    train, test = fold
    scale = float(train.ratings.min()), float(train.ratings.max())
    columns = {"user": train.user_codes, "item": train.item_codes, "rating": train.ratings}
    reader = surprise.Reader(rating_scale=scale)
    table = surprise.Dataset.load_from_df(pandas.DataFrame(columns), reader)
    trainset = table.build_full_trainset()
    model = make(surprise)
    start = time.perf_counter()
    model.fit(trainset)
    seconds = time.perf_counter() - start
    asked = test.user_codes.tolist(), test.item_codes.tolist(), test.ratings.tolist()
    errors = [found.est - found.r_ui for found in model.test(list(zip(*asked, strict=True)))]
    return float(np.sqrt(np.mean(np.square(errors)))), seconds


def _mean_and_median(results: list[tuple[float, float]]) -> tuple[float, float]:
    rmse, seconds = zip(*results, strict=True)
    return mean(rmse), median(seconds)


def _text(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


if __name__ == "__main__":
    main()
