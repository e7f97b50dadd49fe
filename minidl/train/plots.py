"""Plots: learning curves and confusion matrices, drawn by matplotlib.

Matplotlib is optional, `pip install "minidl[plots]"`, and imported when the first plot is drawn.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minidl.checks import check_instance, check_integers
from minidl.errors import ArgumentError, ShapeError, listed, path_of
from minidl.io.atomic_write import atomic_write
from minidl.train.metrics.registry import higher_is_better

# Okabe, Ito 2008: colours that are distinguishable with any kind of colour vision.
_TRAINING, _VALIDATION = "#0072B2", "#D55E00"
_FORMATS = ".png", ".svg", ".pdf"
_MOST_ANNOTATED = 30  # classes up to which there is room for numbers in the cells
_LABELS = {"lr": "learning rate"}
_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "0.3",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid.axis": "y",
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "xtick.color": "0.3",
    "ytick.color": "0.3",
    "xtick.labelcolor": "0.15",
    "ytick.labelcolor": "0.15",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "savefig.dpi": 200,
    "savefig.pad_inches": 0.05,
    "svg.hashsalt": "minidl",  # so that output is reproducible
}


def learning_curves(history: Mapping[str, Sequence[Any]], path: str | os.PathLike[str]) -> Path:
    """Plot each quantity of a run over its epochs, validation with training; returns the path.

        learning_curves({"loss": [0.9, 0.4], "val_loss": [1.0, 0.7], "lr": [0.1, 0.01]}, "run.png")

    history    a list of numbers for each quantity, one per epoch; "val_loss" shares a panel with
               "loss", and so on; "epoch", if present, are the numbers of the epochs.  Entries that
               are not numbers, such as confusion matrices, are skipped.  NaNs leave a gap, unless
               no two values are adjacent: then they are joined
    path       a .png, .svg or .pdf, written atomically

    A ring marks the best epoch of a validation curve, where `higher_is_better` knows the direction.

    >>> history = {"loss": [0.9, 0.4], "val_loss": [1.0, 0.7]}
    >>> minidl.train.learning_curves(history, "run.svg").name
    'run.svg'
    """
    path = plot_path("learning_curves", path)
    check_instance("learning_curves", Mapping, history=history)
    epochs, panels = _panels(history)
    with styled_matplotlib() as matplotlib:
        columns = min(len(panels), 2 if len(panels) in (2, 4) else 3)
        rows = math.ceil(len(panels) / columns)
        size = max(3.2 * columns, 3.6), 2.4 * rows + 0.3
        figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
        for i, (name, curves) in enumerate(panels.items()):
            axes = figure.add_subplot(rows, columns, i + 1)
            _draw_panel(matplotlib, axes, name, epochs, curves)
            if i + columns >= len(panels):  # the lowest panel of its column
                axes.set_xlabel("epoch")
        _draw_legend(matplotlib, figure, panels)
        return save_figure(figure, path)


def plot_confusion_matrix(
    matrix: Any, classes: Sequence[Any] | None, path: str | os.PathLike[str], *, decimals: int = 2
) -> Path:
    """Plot a confusion matrix as a heat map, normalised by row, with the numbers in the cells.

    matrix      (C, C), rows true, columns predicted; counts, or fractions, which are rounded
    classes     the names of the classes; by default their numbers
    path        a .png, .svg or .pdf, written atomically
    decimals    of fractions

    Beyond 30 classes the numbers are omitted.

    >>> matrix = [[9, 1], [2, 8]]
    >>> minidl.train.plot_confusion_matrix(matrix, ["cat", "dog"], "run.svg").name
    'run.svg'
    """
    path = plot_path("plot_confusion_matrix", path)
    check_integers("plot_confusion_matrix", 0, decimals=decimals)
    matrix, names = _checked(matrix, classes)
    texts = [[_number(value, decimals) for value in row] for row in matrix.tolist()]
    longest = max(len(text) for row in texts for text in row)
    fractions = matrix / np.where(matrix.sum(axis=1) > 0, matrix.sum(axis=1), 1)[:, None]
    annotated = len(matrix) <= _MOST_ANNOTATED
    cell = max(0.36, 0.075 * longest + 0.12) if annotated else 7 / len(matrix)
    with styled_matplotlib() as matplotlib:
        side = max(cell * len(matrix), 1.8)
        margin = 0.5 + 0.065 * max(map(len, names))
        size = side + margin + 0.8, side + margin
        figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
        _draw_names(axes, names, side / len(matrix))
        if annotated:
            _draw_numbers(axes, texts, fractions)
        bar = figure.colorbar(image, ax=axes, shrink=min(1, 2.4 / side), aspect=16, pad=0.03)
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)
        bar.set_ticks([0, 0.5, 1])
        return save_figure(figure, path)


@contextmanager
def styled_matplotlib() -> Iterator[Any]:
    """Matplotlib with our style sheet; the user's settings are restored afterwards."""
    try:
        import matplotlib
        import matplotlib.figure
        import matplotlib.lines
        import matplotlib.ticker
    except ImportError as error:
        raise ImportError('images need matplotlib: pip install "minidl[plots]"') from error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)  # type: ignore[arg-type]  # its keys are Literals
        yield matplotlib


def plot_path(who: str, path: str | os.PathLike[str]) -> Path:
    """The path, after checking its suffix."""
    path = path_of(who, path)
    if path.suffix.lower() not in _FORMATS:
        raise ArgumentError(f"{who}: a path ends in {', '.join(_FORMATS)}; got {str(path)!r}")
    return path


def save_figure(figure: Any, path: Path) -> Path:
    """Write the file atomically, without a date, so that it is reproducible."""
    kind = path.suffix.lower()[1:]
    undated: dict[str, dict[str, None]] = {
        "png": {},
        "svg": {"Date": None},
        "pdf": {"CreationDate": None},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        figure.savefig(part, format=kind, metadata=undated[kind], bbox_inches="tight")
    return path


# Learning curves.

Curves = dict[bool, np.ndarray]  # the validation curve (True) and the training curve


def _panels(history: Mapping[str, Sequence[Any]]) -> tuple[np.ndarray, dict[str, Curves]]:
    """The epoch numbers, and the curves of each quantity."""
    curves = {name: curve for name in history if (curve := _curve(history[name])) is not None}
    epochs = curves.pop("epoch", None)
    if not curves:
        raise ArgumentError(
            f"learning_curves: needs lists of a number for each epoch; got {dict(history)!r:.80}"
        )
    if epochs is None:
        epochs = np.arange(1, 1 + max(map(len, curves.values())))
    panels: dict[str, Curves] = {}
    for name, curve in curves.items():
        if len(curve) != len(epochs):
            raise ShapeError(
                f"learning_curves: {len(epochs)} epochs, but {len(curve)} values of {name!r}; "
                "put NaN where there is none"
            )
        panels.setdefault(name.removeprefix("val_"), {})[name.startswith("val_")] = curve
    return epochs, panels


def _curve(values: Sequence[Any]) -> np.ndarray | None:
    """The values as floats, None and infinities as NaN; None unless they are numbers."""
    try:
        curve = np.array([np.nan if v is None else float(v) for v in values])
    except (TypeError, ValueError):
        return None
    curve[np.isinf(curve)] = np.nan
    return curve if curve.size else None


def _draw_panel(matplotlib: Any, axes: Any, name: str, epochs: np.ndarray, curves: Curves) -> None:
    for validation in sorted(curves):
        color = _VALIDATION if validation else _TRAINING
        _draw_curve(axes, epochs, curves[validation], color)
    if True in curves:
        _mark_best(axes, name, epochs, curves[True])
    axes.set_ylabel(_LABELS.get(name, name.replace("_", " ")))
    axes.grid(True, axis="y")
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
        axes.set_xticks(epochs)
    else:
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6, integer=True))
        axes.margins(x=0.03)
    values = np.concatenate([c[~np.isnan(c)] for c in curves.values()])
    if name in ("lr", "loss_scale") and values.size and 0 < 10 * values.min() <= values.max():
        axes.set_yscale("log")


def _draw_curve(axes: Any, epochs: np.ndarray, curve: np.ndarray, color: str) -> None:
    """A line with gaps at NaN, and dots for isolated values and short curves."""
    valid = ~np.isnan(curve)
    joined = valid[:-1] & valid[1:]
    if not joined.any():  # measured only every few epochs: join across the gaps
        epochs, curve, valid = epochs[valid], curve[valid], valid[valid]
        joined = valid[:-1]
    axes.plot(epochs, curve, color=color, linewidth=1.4 if len(curve) <= 200 else 0.9)
    joined = np.pad(joined, 1)
    dots = valid if len(curve) <= 12 else valid & ~joined[:-1] & ~joined[1:]
    axes.plot(epochs[dots], curve[dots], "o", color=color, markersize=3)


def _mark_best(axes: Any, name: str, epochs: np.ndarray, curve: np.ndarray) -> None:
    """A ring at the best value, with the value and its epoch in the title."""
    higher = higher_is_better(name)
    if higher is None or np.isnan(curve).all():
        return
    best = np.nanargmax(curve) if higher else np.nanargmin(curve)
    ring = {
        "markersize": 5.5,
        "markerfacecolor": "white",
        "clip_on": False,
        "zorder": 3,
    }
    axes.plot(epochs[best], curve[best], "o", color=_VALIDATION, **ring)
    words = f"best {curve[best]:.4g}, epoch {epochs[best]:g}"
    axes.set_title(words, loc="right", fontsize=8, color=_VALIDATION, pad=4)


def _draw_legend(matplotlib: Any, figure: Any, panels: dict[str, Curves]) -> None:
    if any(True in curves for curves in panels.values()):
        lines = [matplotlib.lines.Line2D([], [], color=c) for c in (_TRAINING, _VALIDATION)]
        figure.legend(lines, ["training", "validation"], loc="outside upper center", ncols=2)


# Confusion matrices.


def _checked(matrix: Any, classes: Sequence[Any] | None) -> tuple[np.ndarray, list[str]]:
    """The matrix and the class names, validated."""
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ShapeError(
            f"plot_confusion_matrix: needs a matrix of shape (C, C); got {matrix.shape}"
        )
    if matrix.dtype.kind not in "iufb" or not ((matrix >= 0) & (matrix < np.inf)).all():
        raise ArgumentError("plot_confusion_matrix: needs counts or shares, ≥ 0 and finite")
    given = range(len(matrix)) if classes is None else classes
    names = [str(name) for name in listed("plot_confusion_matrix", "a list of names", given)]
    if len(names) != len(matrix):
        raise ShapeError(f"plot_confusion_matrix: {len(names)} names for {len(matrix)} classes")
    return matrix, names


def _number(value: float, decimals: int) -> str:
    """A cell's text; 0 without decimals, so that other values stand out."""
    return "0" if not value else f"{value:.{decimals}f}" if isinstance(value, float) else f"{value}"


def _draw_names(axes: Any, names: list[str], cell: float) -> None:
    """Tick labels: every n-th of many, rotated if wider than a cell (in inches)."""
    every = 1 if len(names) <= _MOST_ANNOTATED else math.ceil(len(names) / 20)
    ticks = range(0, len(names), every)
    rotated = 0.065 * max(map(len, names)) + 0.1 > cell * every
    axes.set_xticks(ticks, names[::every], rotation=90 if rotated else 0)
    axes.set_yticks(ticks, names[::every])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(names) <= _MOST_ANNOTATED:
        edges = np.arange(len(names) - 1) + 0.5
        axes.set_xticks(edges, minor=True)
        axes.set_yticks(edges, minor=True)
        axes.grid(True, which="minor", axis="both", color="white", linewidth=1)
        axes.tick_params(which="minor", length=0)
        axes.set_axisbelow(False)


def _draw_numbers(axes: Any, texts: list[list[str]], fractions: np.ndarray) -> None:
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            color = "white" if fractions[i, j] > 0.55 else "0.7" if text == "0" else "0.1"
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color=color)
