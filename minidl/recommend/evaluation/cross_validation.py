"""Cross-validation of recommenders."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl.errors import ArgumentError, DTypeError, describe
from minidl.recommend.evaluation.evaluate import Evaluation, evaluate
from minidl.recommend.evaluation.splits import k_fold
from minidl.recommend.interactions import Interactions
from minidl.recommend.progress import track
from minidl.recommend.recommender import Recommender

Model = Recommender | Callable[[], Recommender]


class Spread(NamedTuple):
    """The mean of a metric over folds, and its standard deviation: of a sample, over n − 1.

    >>> from minidl.recommend.evaluation import Spread
    >>> print(Spread(0.9376, 0.0041))
    0.9376 ± 0.0041
    """

    mean: float
    std: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.std:.4f}"


class CrossValidation(Mapping[str, Spread]):
    """The metrics of all folds: `result["rmse"].mean`.

    folds    the `Evaluation` of each

    >>> from minidl.recommend import GlobalMean, cross_validate
    >>> data = [1, 1, 2, 2], [7, 8, 7, 8], [5, 3, 3, 5]
    >>> result = cross_validate(GlobalMean(), data, folds=2, metrics=["mae"])
    >>> result.mean, len(result.folds)
    ({'mae': 2.0}, 2)
    """

    def __init__(self, folds: Sequence[Evaluation]) -> None:
        self.folds = list(folds)

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each metric."""
        return {name: spread.mean for name, spread in self.items()}

    @property
    def std(self) -> dict[str, float]:
        """The standard deviation of each metric."""
        return {name: spread.std for name, spread in self.items()}

    def __getitem__(self, name: str) -> Spread:
        values = np.array([fold[name] for fold in self.folds])
        return Spread(float(values.mean()), float(values.std(ddof=1)))

    def __iter__(self) -> Iterator[str]:
        return iter(self.folds[0])

    def __len__(self) -> int:
        return len(self.folds[0])

    def to_dict(self) -> dict[str, Any]:
        """Means, standard deviations, and what each fold gave, as plain numbers."""
        folds = [fold.to_dict() for fold in self.folds]
        return {"mean": self.mean, "std": self.std, "folds": folds}

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {spread}" for name, spread in self.items())
        return f"CrossValidation({len(self.folds)} folds: {values})"


def cross_validate(
    model: Model,
    data: Any,
    folds: int = 5,
    *,
    seed: int = 0,
    k: int | Sequence[int] = 10,
    metrics: Sequence[str] | None = None,
    **settings: Any,
) -> CrossValidation:
    """Evaluate a recommender by each of the folds of the interactions, learning from the others.

    model       a recommender, which is not changed: unfitted ones with its settings are; or a
                function that gives one, as its class
    settings    those of `evaluate`

    With the same data, folds and seed all models have the same folds, so that they can be compared.

    >>> from minidl.recommend import Biases, cross_validate
    >>> data = [1, 1, 1, 2, 2, 2], [7, 8, 9, 7, 8, 9], [5, 3, 1, 4, 3, 2]
    >>> cross_validate(Biases(), data, folds=2, metrics=["rmse"])
    CrossValidation(2 folds: rmse 1.3879 ± 0.0211)
    """
    data = Interactions.of(data)
    parts = track(k_fold(data, folds, seed=seed), "cross-validating", folds)
    settings |= {"k": k, "metrics": metrics}
    return CrossValidation([evaluate(unfitted(model), *part, **settings) for part in parts])


def unfitted(model: Model) -> Recommender:
    """A recommender with the settings of this one, or what a function gives."""
    if isinstance(model, Recommender):
        return type(model)(**{name: _anew(value) for name, value in model.settings().items()})
    made = model() if callable(model) else model
    if not isinstance(made, Recommender):
        raise DTypeError(f"needs a recommender, or a function that makes one; got {describe(made)}")
    if made.data is not None:
        raise ArgumentError("needs a function that makes a new recommender; got a fitted one of it")
    return made


def _anew(value: Any) -> Any:
    """A setting, with unfitted recommenders for those that it has."""
    if isinstance(value, Recommender):
        return unfitted(value)
    if isinstance(value, list | tuple):
        return type(value)(map(_anew, value))
    if isinstance(value, dict):
        return {key: _anew(item) for key, item in value.items()}
    return value
