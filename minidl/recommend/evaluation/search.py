"""A search for the best settings of a recommender: a grid, or random trials."""

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.checks import check_choice, check_instance, check_integers
from minidl.errors import ArgumentError, MinidlError
from minidl.recommend.evaluation.comparison import higher_is_better
from minidl.recommend.evaluation.cross_validation import CrossValidation, Spread
from minidl.recommend.evaluation.evaluate import evaluate
from minidl.recommend.evaluation.metrics import NAMES, OF_ERRORS
from minidl.recommend.evaluation.splits import Split, k_fold
from minidl.recommend.interactions import Interactions
from minidl.recommend.progress import track
from minidl.recommend.recommender import Recommender


@dataclass(frozen=True, repr=False)
class Trial:
    """One choice of settings, and what came of it.

    settings    the arguments of the model
    score       mean and standard deviation of the metric over the folds; NaN if it failed, and of
                a single split there is no deviation
    seconds     what it took
    error       why it failed, else None

    >>> from minidl.recommend.evaluation import Spread, Trial
    >>> Trial({"factors": 64}, Spread(0.9376, 0.0041), seconds=12.5)
    Trial(factors=64: 0.9376 ± 0.0041)
    """

    settings: dict[str, Any]
    score: Spread
    seconds: float
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it, with plain numbers."""
        return {**vars(self), "score": self.score._asdict()}

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        is_single = math.isnan(self.score.std)
        outcome = self.error or (f"{self.score.mean:.4f}" if is_single else str(self.score))
        return f"Trial({settings}: {outcome})"


class Search(Sequence[Trial]):
    """All trials in the order of their scores, the best first; those that failed are last.

    metric    by which they are judged

    >>> from minidl.recommend.evaluation import Search, Spread, Trial
    >>> trials = [Trial({"k": k}, Spread(rmse, 0.01), 1.0) for k, rmse in [(10, 0.97), (40, 0.95)]]
    >>> Search(trials, "rmse")
    Search(2 trials by rmse, best Trial(k=40: 0.9500 ± 0.0100))
    """

    def __init__(self, trials: Sequence[Trial], metric: str) -> None:
        sign = -1 if higher_is_better(metric) else 1

        def key(trial: Trial) -> float:
            return math.inf if math.isnan(trial.score.mean) else sign * trial.score.mean

        self._trials, self.metric = sorted(trials, key=key), metric

    @property
    def best(self) -> Trial:
        """The best trial: `Model(**search.best.settings).fit(data)` is the model to use."""
        return self._trials[0]

    def __getitem__(self, i: Any) -> Any:
        return self._trials[i]

    def __len__(self) -> int:
        return len(self._trials)

    def to_dict(self) -> dict[str, Any]:
        """The metric and all trials, with plain numbers."""
        return {"metric": self.metric, "trials": [trial.to_dict() for trial in self]}

    def __repr__(self) -> str:
        return f"Search({len(self)} trials by {self.metric}, best {self.best})"


def search(
    model: Callable[..., Recommender],
    space: Mapping[str, Any],
    data: Any,
    test: Any = None,
    *,
    metric: str = "rmse",
    trials: int | None = None,
    folds: int = 3,
    seed: int = 0,
    k: int = 10,
    **settings: Any,
) -> Search:
    """Try settings of a recommender, and judge each by cross-validation.

    model       its class, or a function of the settings that gives one
    space       for each setting a list of values; or a distribution, anything with
                `rvs(random_state=…)`, as `scipy.stats.loguniform(1e-4, 1)`
    test        with it, `data` are for training, and there is no cross-validation.  Don't report
                the best score then: settings chosen by test data fit them too well
    metric      one that `evaluate` knows; of lists, of length k
    trials      how many choices to draw at random, of lists uniformly: J. Bergstra, Y. Bengio:
                Random search for hyper-parameter optimization, JMLR 13, 2012.  By default all
                combinations of a space of lists are tried
    settings    those of `evaluate`

    All trials have the same folds.  The same seed gives the same trials.  Models are made of all
    choices before one is fitted, so that a setting which they refuse is an error at once.  A trial
    that fails later with an error of minidl, as where training diverges, is kept with that error;
    if all fail, it is raised.

    >>> from minidl.recommend import Biases, search
    >>> data = [1, 1, 1, 2, 2, 2], [7, 8, 9, 7, 8, 9], [5, 3, 1, 4, 3, 2]
    >>> found = search(Biases, {"user_regularization": [0, 5], "epochs": [5]}, data, folds=2)
    >>> found.best.settings, len(found)
    ({'user_regularization': 5, 'epochs': 5}, 2)
    """
    check_instance("search", Mapping, space=space)
    check_choice("search", NAMES, metric=metric)
    check_integers("search", 1, k=k)
    splits = _splits(data, test, folds, seed)
    chosen = _grid(space) if trials is None else _drawn(space, trials, seed)
    name = metric if metric in OF_ERRORS else f"{metric}@{k}"
    settings |= {"k": k, "metrics": [metric]}
    for choice in chosen:
        model(**choice)
    done, failures = [], []
    for choice in track(chosen, "searching", len(chosen)):
        start, score, error = time.perf_counter(), Spread(math.nan, math.nan), None
        try:
            models = [model(**choice) for _ in splits]
            score = _score(models, splits, name, settings)
        except MinidlError as failure:
            error = f"{type(failure).__name__}: {failure}"
            failures.append(failure)
        done.append(Trial(choice, score, time.perf_counter() - start, error))
    if len(failures) == len(done):
        raise failures[0]
    return Search(done, name)


def _splits(data: Any, test: Any, folds: int, seed: int) -> list[Split]:
    data = Interactions.of(data)
    if test is None:
        return list(k_fold(data, folds, seed=seed))
    return [Split(data, Interactions.of(test))]


def _score(
    models: Sequence[Recommender], splits: Sequence[Split], name: str, settings: dict[str, Any]
) -> Spread:
    """The metric of a fresh model for each split."""
    found = [evaluate(m, *split, **settings) for m, split in zip(models, splits, strict=True)]
    if len(found) == 1:
        return Spread(found[0][name], math.nan)
    return CrossValidation(found)[name]


def _grid(space: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All combinations; the last setting changes fastest."""
    for name, values in space.items():
        if not _is_list(values):
            raise ArgumentError(
                f"search: a grid needs a list of values for {name}; got {values!r:.60}; with "
                "trials=n they are drawn from a distribution"
            )
    return [dict(zip(space, row, strict=True)) for row in itertools.product(*space.values())]


def _drawn(space: Mapping[str, Any], trials: int, seed: int) -> list[dict[str, Any]]:
    """Choices at random."""
    check_integers("search", 1, trials=trials)
    rng = np.random.default_rng(seed)
    for name, values in space.items():
        if not _is_list(values) and not hasattr(values, "rvs"):
            raise ArgumentError(
                f"search: {name} needs a list of values or a distribution; got {values!r:.60}"
            )
    return [{name: _choice(values, rng) for name, values in space.items()} for _ in range(trials)]


def _is_list(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0


def _choice(values: Any, rng: np.random.Generator) -> Any:
    if _is_list(values):
        return values[int(rng.integers(len(values)))]
    drawn = values.rvs(random_state=rng)
    return drawn.item() if isinstance(drawn, np.generic) else drawn
