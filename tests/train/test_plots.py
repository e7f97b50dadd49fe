"""Images of a run: what stands in them, and how they are written."""

import itertools
import re
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl.errors import ArgumentError, ShapeError
from minidl.train import plots
from minidl.train.plots import learning_curves, plot_confusion_matrix

matplotlib = pytest.importorskip("matplotlib", reason="draws: pip install 'minidl[plots]'")

NAN = float("nan")
RUN = {
    "epoch": [1, 2, 3, 4],
    "loss": [1.0, 0.5, 0.3, 0.2],
    "val_loss": [1.1, 0.7, 0.6, 0.8],
    "accuracy": [0.5, 0.7, 0.8, 0.9],
    "val_accuracy": [0.4, 0.75, 0.7, 0.6],
    "lr": [0.1, 0.1, 0.01, 0.01],
}


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would have been saved."""
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure) or path)
    return figures


def lines(axes):
    """The x and y of each line that is not only dots."""
    return [line.get_xydata().T for line in axes.lines if line.get_linestyle() != "None"]


def dots(axes):
    """The places that are marked."""
    marked = [line.get_xydata() for line in axes.lines if line.get_linestyle() == "None"]
    return {tuple(place) for places in marked for place in places.tolist()}


def test_each_quantity_has_a_panel_with_training_and_validation(drawn, tmp_path):
    assert learning_curves(RUN, tmp_path / "run.png") == tmp_path / "run.png"
    loss, accuracy, rate = drawn[0].axes
    assert [a.get_ylabel() for a in drawn[0].axes] == ["loss", "accuracy", "learning rate"]
    assert [a.get_xlabel() for a in drawn[0].axes] == ["epoch"] * 3
    assert [a.get_yscale() for a in drawn[0].axes] == ["linear", "linear", "log"]
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        for (x, y), values in zip(lines(axes), (RUN[name], RUN[f"val_{name}"]), strict=True):
            np.testing.assert_array_equal(x, RUN["epoch"])
            np.testing.assert_array_equal(y, values)
        assert len({line.get_color() for line in axes.lines}) == 2
    assert loss.get_title(loc="right") == "best 0.6, epoch 3"
    assert accuracy.get_title(loc="right") == "best 0.75, epoch 2"
    assert rate.get_title(loc="right") == ""
    assert [t.get_text() for t in drawn[0].legends[0].texts] == ["training", "validation"]


@pytest.mark.parametrize("epochs", [1, 2, 13, 500])
def test_ticks_are_whole_epochs(drawn, tmp_path, epochs):
    history = {"loss": np.linspace(1, 0.5, epochs), "val_loss": np.linspace(1, 0.6, epochs)}
    learning_curves(history, tmp_path / "run.png")
    ticks = drawn[0].axes[0].get_xticks()
    assert len(ticks) <= 8
    assert all(tick == int(tick) for tick in ticks)
    assert {1, 2} & set(ticks) if epochs < 3 else len(ticks) > 3


def test_without_validation_there_is_neither_legend_nor_mark(drawn, tmp_path):
    learning_curves({"loss": [1, 0.5, 0.4], "lr": [0.1, 0.1, 0.09]}, tmp_path / "run.png")
    assert not drawn[0].legends
    assert not drawn[0].axes[0].get_title(loc="right")
    assert drawn[0].axes[1].get_yscale() == "linear"


def test_what_is_not_a_number_leaves_a_gap(drawn, tmp_path):
    loss = [1, NAN, 0.5, None, float("inf"), 0.3, 0.2]
    history = {"loss": loss, "val_loss": [NAN] * 7, "val_auc": [NAN, NAN, 0.5, NAN, 0.7, NAN, 0.6]}
    learning_curves({**history, "lr": [NAN] * 7}, tmp_path / "run.png")
    axes, area, _ = drawn[0].axes
    (_, y), _ = lines(axes)
    np.testing.assert_array_equal(y, [1, NAN, 0.5, NAN, NAN, 0.3, 0.2])
    assert dots(axes) == {(1, 1), (3, 0.5), (6, 0.3), (7, 0.2)}
    assert not axes.get_title(loc="right")
    # what is measured now and then is joined
    np.testing.assert_array_equal(lines(area), [[[3, 5, 7], [0.5, 0.7, 0.6]]])
    assert area.get_title(loc="right") == "best 0.7, epoch 5"


def test_a_long_run_has_dots_only_where_there_is_no_line(drawn, tmp_path):
    loss = np.linspace(1, 0.1, 300)
    loss[[3, 5]] = NAN
    learning_curves({"loss": loss, "epoch": range(11, 311)}, tmp_path / "run.png")
    assert dots(drawn[0].axes[0]) == {(15, loss[4])}


def test_what_is_not_a_number_for_each_epoch_is_left_out(drawn, tmp_path):
    history = {"loss": [1, 2], "confusion_matrix": [np.eye(2)] * 2, "note": ["a", "b"], "f1": []}
    learning_curves(history, tmp_path / "run.png")
    assert [a.get_ylabel() for a in drawn[0].axes] == ["loss"]


def test_panels_stand_in_rows(drawn, tmp_path):
    for n in range(1, 8):
        learning_curves({f"q{i}": [1, 2] for i in range(n)}, tmp_path / "run.png")
        columns = drawn[-1].axes[0].get_gridspec().ncols
        assert columns == min(n, 2 if n == 4 else 3)
        assert sum(a.get_xlabel() == "epoch" for a in drawn[-1].axes) == columns


def cells(axes):
    """The numbers, in rows, and their colours."""
    size = round(len(axes.texts) ** 0.5)
    texts = [t.get_text() for t in axes.texts]
    assert [t.get_position() for t in axes.texts] == [(j, i) for i, j in np.ndindex(size, size)]
    return [texts[i * size : (i + 1) * size] for i in range(size)]


def test_a_confusion_matrix_has_counts_and_fractions_of_rows(drawn, tmp_path):
    matrix = minidl.asarray([[50, 0, 0], [30, 10, 0], [0, 0, 0]])
    plot_confusion_matrix(matrix, ["healthy", "ill", "neither"], tmp_path / "c.png")
    axes = drawn[0].axes[0]
    assert cells(axes) == [["50", "0", "0"], ["30", "10", "0"], ["0", "0", "0"]]
    shares = axes.images[0].get_array()
    np.testing.assert_array_equal(shares, [[1, 0, 0], [0.75, 0.25, 0], [0, 0, 0]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [t.get_text() for t in labels] == ["healthy", "ill", "neither"]


def test_fractions_are_rounded(drawn, tmp_path):
    plot_confusion_matrix([[0.996, 0.004], [0.0, 1.0]], None, tmp_path / "c.svg")
    plot_confusion_matrix([[0.996, 0.004], [0.0, 1.0]], None, tmp_path / "c.svg", decimals=3)
    assert cells(drawn[0].axes[0]) == [["1.00", "0.00"], ["0", "1.00"]]
    assert cells(drawn[1].axes[0]) == [["0.996", "0.004"], ["0", "1.000"]]


@pytest.mark.parametrize(("classes", "count"), [(1, 10), (10, 123456), (20, 1234)])
def test_numbers_fit_into_their_cells(drawn, tmp_path, classes, count):
    plot_confusion_matrix(np.diag(np.full(classes, count)), None, tmp_path / "c.png")
    drawn[0].draw_without_rendering()
    axes = drawn[0].axes[0]
    width = axes.get_window_extent().width / classes
    assert all(text.get_window_extent().width < width for text in axes.texts)
    labels = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(labels))


def test_many_classes_have_colours_alone(drawn, tmp_path):
    plot_confusion_matrix(np.eye(200), [f"class {i}" for i in range(200)], tmp_path / "c.png")
    axes = drawn[0].axes[0]
    assert not axes.texts
    assert len(axes.get_xticks()) == 20


# Files.


BEGINNINGS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_the_suffix_says_what_is_written(tmp_path, kind):
    history = {"loss": RUN["loss"]}
    one = learning_curves(history, tmp_path / f"one.{kind}").read_bytes()
    assert one.startswith(BEGINNINGS[kind])
    other = learning_curves(history, str(tmp_path / "new" / "folder" / f"other.{kind.upper()}"))
    assert other.read_bytes() == one  # neither dates nor random numbers
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", f"one.{kind}"]


def test_a_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = plot_confusion_matrix([[9, 1], [2, 8]], None, tmp_path / "run.png")
    before = path.read_bytes()

    def half(self, file, **_):
        file.write_bytes(before[:100])
        raise OSError("no space left")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", half)
    with pytest.raises(OSError, match="no space left"):
        learning_curves(RUN, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_settings_of_the_user_are_left_alone(drawn, tmp_path):
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        settings = dict(matplotlib.rcParams)
        learning_curves(RUN, tmp_path / "run.png")
        assert dict(matplotlib.rcParams) == settings
    assert drawn[0].axes[0].get_facecolor() == (1, 1, 1, 1)


def test_without_matplotlib_the_error_says_what_to_install(tmp_path):
    code = """
import sys
sys.modules["matplotlib"] = None
from minidl.train.plots import learning_curves
learning_curves({"loss": [1]}, sys.argv[1])
"""
    path = tmp_path / "run.png"
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert run.returncode
    assert re.search(r'ImportError: .*pip install "minidl\[plots\]"', run.stderr)
    assert not path.exists()


def test_no_window_system_is_needed(tmp_path):
    code = """
import sys
from minidl.train.plots import learning_curves
assert "matplotlib" not in sys.modules
learning_curves({"loss": [1]}, sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "run.png"], check=True)
    assert (tmp_path / "run.png").exists()


# Bad input.


def test_bad_histories_are_refused(tmp_path):
    path = tmp_path / "run.png"
    with pytest.raises(ShapeError, match="4 epochs, but 2 values of 'f1'"):
        learning_curves({**RUN, "f1": [1, 2]}, path)
    for empty in ({}, {"loss": []}, {"epoch": [1, 2]}):
        with pytest.raises(ArgumentError, match="a number for each epoch"):
            learning_curves(empty, path)
    for wrong in ("run.gif", "run", "run.txt"):
        with pytest.raises(ArgumentError, match=r"ends in \.png, \.svg, \.pdf"):
            learning_curves(RUN, tmp_path / wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.zeros(4), np.zeros((0, 0))])
def test_a_confusion_matrix_is_square(tmp_path, matrix):
    with pytest.raises(ShapeError, match=r"shape \(C, C\)"):
        plot_confusion_matrix(matrix, None, tmp_path / "c.png")


@pytest.mark.parametrize("value", [-1.0, NAN, float("inf"), 1j])
def test_a_confusion_matrix_holds_counts_or_fractions(tmp_path, value):
    with pytest.raises(ArgumentError, match="counts or shares"):
        plot_confusion_matrix([[value]], None, tmp_path / "c.png")


def test_each_class_has_a_name(tmp_path):
    with pytest.raises(ShapeError, match="1 names for 2 classes"):
        plot_confusion_matrix(np.eye(2), ["a"], tmp_path / "c.png")
