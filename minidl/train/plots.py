"""Pictures of a run: how its quantities went from epoch to epoch, and which classes it confuses.

They need matplotlib, `pip install "minidl[plots]"`, which is imported when the first is drawn.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, ShapeError, check_kind, listed, path_of
from minidl.io.atomic_write import atomic_write
from minidl.optim.checks import check_count
from minidl.train.metrics.registry import higher_is_better

# Okabe, Ito 2008: colours that people with any kind of colour vision tell apart.
_TRAINING, _VALIDATION = "#0072B2", "#D55E00"
_FORMATS = ".png", ".svg", ".pdf"
_NUMBERED = 30  # the most classes for which there is room for numbers
_LABELS = {"lr": "learning rate"}
_STYLE = {
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
    "svg.hashsalt": "minidl",  # the same picture is the same file
}


def learning_curves(history: Mapping[str, Sequence[Any]], path: str | Path) -> Path:
    """Draw each quantity of a run over its epochs, validation beside training; returns the path.

        learning_curves({"loss": [0.9, 0.4], "val_loss": [1.0, 0.7], "lr": [0.1, 0.01]}, "run.png")

    history    a list of numbers for each quantity, one for each epoch; "val_loss" is drawn with
               "loss", and so on; "epoch", if there, are the numbers of the epochs.  What is not a
               number for each epoch, as confusion matrices are, is left out.  NaNs leave a gap,
               but values of which no two are neighbours are joined
    path       a .png, .svg or .pdf, which is written whole or not at all

    A ring marks the best epoch of a validation curve, if it is known (`higher_is_better`) which
    that is.

    >>> history = {"loss": [0.9, 0.4], "val_loss": [1.0, 0.7]}
    >>> minidl.train.learning_curves(history, "run.svg").name
    'run.svg'
    """
    path = picture_path("learning_curves", path)
    check_kind("learning_curves", "history", history, Mapping)
    epochs, panels = _panels(history)
    with _matplotlib() as matplotlib:
        columns = min(len(panels), 2 if len(panels) in (2, 4) else 3)
        rows = math.ceil(len(panels) / columns)
        size = max(3.2 * columns, 3.6), 2.4 * rows + 0.3
        figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
        for number, (name, curves) in enumerate(panels.items()):
            axes = figure.add_subplot(rows, columns, number + 1)
            _draw_panel(matplotlib, axes, name, epochs, curves)
            if number + columns >= len(panels):  # nothing stands below
                axes.set_xlabel("epoch")
        _draw_legend(matplotlib, figure, panels)
        return _save(figure, path)


def confusion_picture(
    matrix: Any, classes: Sequence[Any] | None, path: str | Path, *, decimals: int = 2
) -> Path:
    """Draw a confusion matrix: a number in each cell, its share of the row as colour.

    matrix      (C, C), rows true, columns predicted; counts, or shares, which are rounded
    classes     the names of the classes; their numbers if None
    path        a .png, .svg or .pdf, which is written whole or not at all
    decimals    of shares

    Beyond 30 classes colours stand alone.

    >>> matrix = [[9, 1], [2, 8]]
    >>> minidl.train.confusion_picture(matrix, ["cat", "dog"], "run.svg").name
    'run.svg'
    """
    path = picture_path("confusion_picture", path)
    check_count("confusion_picture", {"decimals": decimals}, "decimals", least=0)
    matrix, names = _checked(matrix, classes)
    texts = [[_number(value, decimals) for value in row] for row in matrix.tolist()]
    longest = max(len(text) for row in texts for text in row)
    shares = matrix / np.where(matrix.sum(axis=1) > 0, matrix.sum(axis=1), 1)[:, None]
    cell = max(0.36, 0.075 * longest + 0.12) if len(matrix) <= _NUMBERED else 7 / len(matrix)
    with _matplotlib() as matplotlib:
        side = max(cell * len(matrix), 1.8)
        margin = 0.5 + 0.065 * max(map(len, names))
        size = side + margin + 0.8, side + margin
        figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        _draw_names(axes, names, side / len(matrix))
        if len(matrix) <= _NUMBERED:
            _draw_numbers(axes, texts, shares)
        bar = figure.colorbar(image, ax=axes, shrink=min(1, 2.4 / side), aspect=16, pad=0.03)
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)
        bar.set_ticks([0, 0.5, 1])
        return _save(figure, path)


@contextmanager
def _matplotlib() -> Iterator[Any]:
    """The library, in our style whatever the user's; the user's is back afterwards."""
    try:
        import matplotlib
        import matplotlib.figure
        import matplotlib.lines
        import matplotlib.ticker
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "minidl[plots]"') from error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield matplotlib


def picture_path(who: str, path: str | Path) -> Path:
    """The path, if it is one of a picture."""
    path = path_of(who, path)
    if path.suffix.lower() not in _FORMATS:
        raise ArgumentError(f"{who}: a path ends in {', '.join(_FORMATS)}; got {str(path)!r}")
    return path


def _save(figure: Any, path: Path) -> Path:
    """Write the file; nobody sees half a picture."""
    kind = path.suffix.lower()[1:]
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        figure.savefig(part, format=kind, metadata=undated, bbox_inches="tight")
    return path


# Learning curves.

Curves = dict[bool, np.ndarray]  # of the validation (True) and of the training


def _panels(history: Mapping[str, Sequence[Any]]) -> tuple[np.ndarray, dict[str, Curves]]:
    """The numbers of the epochs, and the curves of each quantity."""
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
    """Numbers, with NaN for None and what is infinite; None if they are something else."""
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
    seen = np.concatenate([c[~np.isnan(c)] for c in curves.values()])
    if name == "lr" and seen.size and 0 < 10 * seen.min() <= seen.max():
        axes.set_yscale("log")


def _draw_curve(axes: Any, epochs: np.ndarray, curve: np.ndarray, color: str) -> None:
    """A line with gaps, and dots where it is so short that one would not see it."""
    known = ~np.isnan(curve)
    joined = known[:-1] & known[1:]
    if not joined.any():  # measured only now and then: the line goes from one to the next
        epochs, curve, known = epochs[known], curve[known], known[known]
        joined = known[:-1]
    axes.plot(epochs, curve, color=color, linewidth=1.4 if len(curve) <= 200 else 0.9)
    joined = np.pad(joined, 1)
    dots = known if len(curve) <= 12 else known & ~joined[:-1] & ~joined[1:]
    axes.plot(epochs[dots], curve[dots], "o", color=color, markersize=3)


def _mark_best(axes: Any, name: str, epochs: np.ndarray, curve: np.ndarray) -> None:
    """A ring at the best value; above the panel, where no curve is, the value and its epoch."""
    higher = higher_is_better(name)
    if higher is None or np.isnan(curve).all():
        return
    best = np.nanargmax(curve) if higher else np.nanargmin(curve)
    ring = {"markersize": 5.5, "markerfacecolor": "white", "clip_on": False, "zorder": 3}
    axes.plot(epochs[best], curve[best], "o", color=_VALIDATION, **ring)
    words = f"best {curve[best]:.4g}, epoch {epochs[best]:g}"
    axes.set_title(words, loc="right", fontsize=8, color=_VALIDATION, pad=4)


def _draw_legend(matplotlib: Any, figure: Any, panels: dict[str, Curves]) -> None:
    if any(True in curves for curves in panels.values()):
        lines = [matplotlib.lines.Line2D([], [], color=c) for c in (_TRAINING, _VALIDATION)]
        figure.legend(lines, ["training", "validation"], loc="outside upper center", ncols=2)


# Confusion matrices.


def _checked(matrix: Any, classes: Sequence[Any] | None) -> tuple[np.ndarray, list[str]]:
    """A matrix that can be drawn, and the names of its classes."""
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ShapeError(f"confusion_picture: needs a matrix of shape (C, C); got {matrix.shape}")
    if matrix.dtype.kind not in "iufb" or not ((matrix >= 0) & (matrix < np.inf)).all():
        raise ArgumentError("confusion_picture: needs counts or shares, from 0 on and finite")
    given = range(len(matrix)) if classes is None else classes
    names = [str(name) for name in listed("confusion_picture", "a list of names", given)]
    if len(names) != len(matrix):
        raise ShapeError(f"confusion_picture: {len(names)} names for {len(matrix)} classes")
    return matrix, names


def _number(value: float, decimals: int) -> str:
    """Nothing is left of 0: what is there is easier to see."""
    return "0" if not value else f"{value:.{decimals}f}" if isinstance(value, float) else f"{value}"


def _draw_names(axes: Any, names: list[str], cell: float) -> None:
    """Names, if there are many only some of them, turned if they are wider than a cell (inches)."""
    every = 1 if len(names) <= _NUMBERED else math.ceil(len(names) / 20)
    places = range(0, len(names), every)
    turned = 0.065 * max(map(len, names)) + 0.1 > cell * every
    axes.set_xticks(places, names[::every], rotation=90 if turned else 0)
    axes.set_yticks(places, names[::every])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(names) <= _NUMBERED:
        edges = np.arange(len(names) - 1) + 0.5
        axes.set_xticks(edges, minor=True)
        axes.set_yticks(edges, minor=True)
        axes.grid(True, which="minor", axis="both", color="white", linewidth=1)
        axes.tick_params(which="minor", length=0)
        axes.set_axisbelow(False)


def _draw_numbers(axes: Any, texts: list[list[str]], shares: np.ndarray) -> None:
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            color = "white" if shares[i, j] > 0.55 else "0.7" if text == "0" else "0.1"
            axes.text(j, i, text, ha="center", va="center", fontsize=8, color=color)
