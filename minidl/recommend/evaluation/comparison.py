"""Several recommenders on the same split: a table, and a picture."""

import os
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from minidl.checks import check_choice, check_instance
from minidl.errors import ArgumentError
from minidl.recommend.evaluation.evaluate import Evaluation, evaluate
from minidl.recommend.evaluation.metrics import HIGHER_IS_BETTER
from minidl.recommend.interactions import Interactions
from minidl.recommend.progress import track
from minidl.recommend.recommender import Recommender

_TIMES = "fit_seconds", "predict_seconds"


class Comparison(Mapping[str, Evaluation]):
    """The evaluation of each model by its name; printed, it is a table.

    metrics    the names of all metrics that any of them has

    >>> from minidl.recommend import GlobalMean, Popularity, compare
    >>> train, test = ([1, 2, 2], [7, 7, 8], [5, 3, 4]), ([1], [8], [3])
    >>> result = compare({"mean": GlobalMean(), "popular": Popularity()}, train, test, 1)
    >>> result["popular"]["hr@1"], result.best("rmse"), result.metrics[:3]
    (1.0, 'mean', ['rmse', 'mae', 'hr@1'])
    """

    def __init__(self, evaluations: Mapping[str, Evaluation]) -> None:
        self._evaluations = dict(evaluations)
        names = {name: None for found in evaluations.values() for name in found}
        self.metrics = list(names)

    def __getitem__(self, name: str) -> Evaluation:
        return self._evaluations[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._evaluations)

    def __len__(self) -> int:
        return len(self._evaluations)

    def best(self, metric: str) -> str:
        """The name of the model with the best value of a metric; of equal ones, the first."""
        check_choice("best", self.metrics, metric=metric)
        values = {name: found[metric] for name, found in self.items() if metric in found}
        choose = max if higher_is_better(metric) else min
        return choose(values, key=lambda name: values[name])

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The metrics and times of each model, as plain numbers."""
        return {name: found.to_dict() for name, found in self.items()}

    def plot(self, path: str | os.PathLike[str], metrics: Sequence[str] | None = None) -> Path:
        """Draw bars of some metrics, by default of all, into a .png, .svg or .pdf.

        Needs matplotlib: pip install "minidl[plots]".
        """
        from minidl.recommend.evaluation.picture import draw

        chosen = self.metrics if metrics is None else list(metrics)
        for name in chosen:
            check_choice("plot", self.metrics, metrics=name)
        if not chosen:
            raise ArgumentError("plot: needs a metric to draw")
        return draw(self, chosen, path)

    def table(self) -> Any:
        """The table, as rich prints it; the best value of each metric is bold."""
        from rich.markup import escape
        from rich.table import Table

        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("model")
        for name in (*self.metrics, "fit s", "predict s"):
            table.add_column(name, justify="right")
        best = {metric: self.best(metric) for metric in self.metrics}
        for name, found in self.items():
            cells = [_cell(found.get(metric), best[metric] == name, 4) for metric in self.metrics]
            times = [_cell(getattr(found, time), False, 2) for time in _TIMES]
            table.add_row(escape(name), *cells, *times)
        return table

    def __rich__(self) -> Any:
        return self.table()

    def __repr__(self) -> str:
        from rich.console import Console

        text = StringIO()
        Console(file=text, width=20 + 16 * (len(self.metrics) + 3)).print(self.table())
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _cell(value: float | None, bold: bool, decimals: int) -> str:
    if value is None:
        return "–"
    return f"[bold]{value:.{decimals}f}[/bold]" if bold else f"{value:.{decimals}f}"


def higher_is_better(metric: str) -> bool:
    """Whether larger values of a metric, "ndcg@10" say, are better."""
    return HIGHER_IS_BETTER[metric.partition("@")[0]]


def compare(
    models: Mapping[str, Recommender],
    train: Any,
    test: Any,
    k: int | Sequence[int] = 10,
    metrics: Sequence[str] | None = None,
    **settings: Any,
) -> Comparison:
    """Evaluate several recommenders on the same split.

    models      by the names that they have in the table; those that are not fitted are, to `train`
    settings    those of `evaluate`

    >>> from minidl.recommend import Biases, GlobalMean, compare
    >>> train, test = ([1, 1, 2, 2], [7, 8, 7, 9], [5, 3, 4, 1]), ([1, 2], [9, 8], [2, 3])
    >>> result = compare({"mean": GlobalMean(), "biases": Biases()}, train, test, 1, ["mae", "hr"])
    >>> print(result)
    model      mae    hr@1  fit s  predict s
    mean    0.7500  1.0000  ...
    biases  0.6312  1.0000  ...
    >>> result.best("mae")
    'biases'
    """
    check_instance("compare", Mapping, models=models)
    if not models:
        raise ArgumentError("compare: needs a model or more")
    for name, model in models.items():
        check_instance("compare", str, name=name)
        check_instance("compare", Recommender, model=model)
    train, test = Interactions.of(train), Interactions.of(test)
    return Comparison(
        {
            name: evaluate(model, train, test, k, metrics, **settings)
            for name, model in track(models.items(), "comparing", len(models))
        }
    )
