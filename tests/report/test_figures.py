"""What the figures of reports, evaluations and comparisons show: data, axes and colours."""

import json

import numpy as np
import pytest

from s2a_jax.comparison import figures as compared
from s2a_jax.comparison.results import Result
from s2a_jax.evaluation.diagrams import draw_reliability
from s2a_jax.report import figures
from s2a_jax.report.figures import COLOURS


@pytest.fixture
def axes_of(monkeypatch):
    """Makes figures return their axes, undrawn."""
    monkeypatch.setattr(figures.Chart, "svg", lambda self, legend=None: self.axes)


def line_in(axes, colour):
    """Points [N, 2] of the only line with a colour, as (x, y)."""
    (line,) = (line for line in axes.lines if line.get_color() == colour)
    return line.get_xydata()


def points(x, y):
    return np.stack([x, y], axis=1)


def test_curves_of_an_evaluation(axes_of):
    low, high = [0.0, 0.2, 1.0], [0.0, 0.9, 0.95]
    for draw, x, y, more in (
        (figures.roc, "fpr", "tpr", {"auc": 0.8}),
        (figures.precision_recall, "recall", "precision", {"average_precision": 0.7}),
        (figures.reliability, "confidence", "frequency", {"pixels": [1, 10, 100], "ece": 0.1}),
    ):
        curves = {"rv": {x: low, y: high, **more}, "faz": {x: high, y: low, **more}}
        axes = draw(curves, "title")
        np.testing.assert_array_equal(line_in(axes, COLOURS["rv"]), points(low, high))
        np.testing.assert_array_equal(line_in(axes, COLOURS["faz"]), points(high, low))
        names = [text for text in axes.get_legend_handles_labels()[1]]
        assert names[0].startswith("RV, ") and names[1].startswith("FAZ, ")
        assert f"{next(reversed(more.values())):.4f}" in names[0]


def test_dots_of_a_reliability_diagram_grow_with_their_pixels():
    axes = figures.Chart("", "", "", (1, 1)).axes
    curve = {"confidence": [0.1, 0.9], "frequency": [0.2, 0.7], "pixels": [10, 10000], "ece": 0.1}
    draw_reliability(axes, {"rv": curve}, COLOURS, "grey")
    np.testing.assert_allclose(axes.collections[0].get_sizes(), [10, 28])
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [(0.1, 0.2), (0.9, 0.7)])


def test_differences_over_means(axes_of):
    data = {"predicted": [3.0, 5.0], "true": [1.0, 6.0], "bias": 0.5, "low": -2.0, "high": 3.0}
    axes = figures.bland_altman(data, "mm", "title")
    np.testing.assert_array_equal(line_in(axes, COLOURS[None]), [(2, 2), (5.5, -1)])
    levels = sorted(line.get_ydata()[0] for line in axes.lines if line.get_color() == figures._INK)
    assert levels == [-2, 0.5, 3]
    assert axes.get_ylabel() == "predicted − true / mm"


def test_cases_from_worst_to_best(axes_of):
    axes = figures.distribution({"rv": [0.9, 0.5, 0.7, 0.6]}, "Dice", "title")
    expected = points([0.125, 0.375, 0.625, 0.875], [0.5, 0.6, 0.7, 0.9])
    np.testing.assert_array_equal(line_in(axes, COLOURS["rv"]), expected)


def test_running_means_and_the_best_step(axes_of):
    steps, values = np.arange(200), np.where(np.arange(200) < 100, 0.0, 1.0)
    axes = figures.curve("t", "y", {"a": ("red", steps, values)}, smooth=True, best=150)
    thin, thick = (line.get_xydata() for line in axes.lines if line.get_color() == "red")
    np.testing.assert_array_equal(thin, points(steps, values))
    np.testing.assert_array_equal(thick[[90, 110], 1], [0, 1])  # means over 5 rows
    np.testing.assert_allclose(thick[98:102, 1], [0.2, 0.4, 0.6, 0.8])
    assert [line.get_xdata()[0] for line in axes.lines if line.get_color() == figures._INK] == [150]


def test_figures_of_a_comparison(tmp_path, monkeypatch):
    """A box a network with the mean over its seeds, and curves of every run."""
    drawn = []
    monkeypatch.setattr(compared, "_save", lambda figure, _: drawn.append(figure))
    dice = {"val": {"rv": {"a": 0.5, "b": 0.9}}}
    other = {"val": {"rv": {"a": 0.7, "b": 0.9}}}
    results = []
    for i, (name, one) in enumerate((("x", dice), ("x", other), ("y", dice))):
        folder = tmp_path / str(i)
        folder.mkdir()
        rows = [{"step": s, "loss_rv": 1 / s, "loss_faz": 1.0, "val_rv_dice": 0.1 * s + i}
                for s in (1, 2)]  # fmt: skip
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        results.append(Result(name, i, folder, one, {}, None, None))
    compared.draw_dice(tmp_path / "a.png", results, {"val": {"rv": ["a", "b"]}})
    compared.draw_curves(tmp_path / "b.png", results)
    (boxes,), (loss, rv, faz) = (figure.axes for figure in drawn)
    dots = [line.get_ydata() for line in boxes.lines if line.get_marker() == "."]
    np.testing.assert_allclose(dots, [(0.6, 0.9), (0.5, 0.9)])
    assert [label.get_text() for label in boxes.get_xticklabels()] == ["x", "y"]
    assert [line.get_color() for line in loss.lines] == ["C0", "C0", "C1"]
    np.testing.assert_allclose(loss.lines[0].get_xydata(), [(1, 2), (2, 1.5)])
    np.testing.assert_allclose(rv.lines[2].get_xydata(), [(1, 2.1), (2, 2.2)])
    assert not faz.lines
