"""The picture of a comparison: a panel of bars for each metric."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minidl.recommend.evaluation.metrics import HIGHER_IS_BETTER
from minidl.train.plots import plot_path, save_figure, styled_matplotlib

_BEST, _OTHERS = "#0072B2", "#B8C4CE"  # of Okabe, Ito 2008, and a grey
_PANEL, _BAR = 2.3, 0.26  # inches: the width of a panel, the height of a bar


def draw(
    evaluations: Mapping[str, Mapping[str, float]],
    metrics: Sequence[str],
    path: str | os.PathLike[str],
) -> Path:
    """Bars of each metric for each model, the best one in blue; an arrow says what is better."""
    target = plot_path("plot", path)
    columns = min(len(metrics), 4)
    rows = math.ceil(len(metrics) / columns)
    names = list(evaluations)
    margin = 0.075 * max(map(len, names)) + 0.2
    with styled_matplotlib() as matplotlib:
        size = _PANEL * columns + margin, (_BAR * len(names) + 0.55) * rows + 0.1
        figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
        for i, metric in enumerate(metrics):
            axes = figure.add_subplot(rows, columns, i + 1)
            values = [evaluations[name].get(metric) for name in names]
            _draw_panel(axes, metric, names if i % columns == 0 else [""] * len(names), values)
        return save_figure(figure, target)


def _draw_panel(
    axes: Any, metric: str, names: Sequence[str], values: Sequence[float | None]
) -> None:
    higher = HIGHER_IS_BETTER[metric.partition("@")[0]]
    present = [value for value in values if value is not None]
    best = max(present) if higher else min(present)
    lengths = [0.0 if value is None else value for value in values]
    places = range(len(values))
    axes.barh(places, lengths, 0.7, color=[_BEST if v == best else _OTHERS for v in values])
    top = max(present) or 1.0
    for place, value in zip(places, values, strict=True):
        text = "–" if value is None else f"{value:.4f}" if value < 10 else f"{value:.2f}"
        axes.text((value or 0.0) + 0.03 * top, place, text, va="center", fontsize=8, color="0.15")
    axes.set_title(f"{metric} {'↑' if higher else '↓'}", fontsize=9, loc="left")
    axes.set_xlim(0, 1.4 * top)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_yticks(places, [name.replace("$", r"\$") for name in names])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)
