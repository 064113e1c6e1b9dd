"""Figures of the report: SVG elements that take the colour of the page's text."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import uniform_filter1d

from s2a_jax.evaluation.diagrams import (
    Curves,
    draw_precision_recall,
    draw_reliability,
    draw_roc,
)
from s2a_jax.evaluation.labels import TASK_LABELS

COLOURS = {"rv": "#e5484d", "faz": "#2b8fe6", "faz_post": "#12a594", None: "#9170e0"}
"""Task (None: no single task) -> colour, near the overlays'; legible on white and on black."""

_SMALL = (3.4, 2.7)  # width and height in inches; the SVG has 72 units an inch
_INK = "#010203"  # placeholder for the colour of the page's text
_STYLE = {
    "svg.fonttype": "none",  # keeps text as text: small, selectable, in the page's font
    "svg.hashsalt": "s2a_jax",  # makes ids deterministic
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": _INK,
    "grid.alpha": 0.13,
    "grid.linewidth": 0.6,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "axes.axisbelow": True,
}


class Chart:
    """One pair of axes to be written as an SVG element.

    Args:
        title: name of the figure for screen readers.
        xlabel: label with unit.
        ylabel: label with unit.
        size: width and height in inches; the SVG has 72 units an inch.
    """

    def __init__(self, title: str, xlabel: str, ylabel: str, size: tuple[float, float]):
        self.title = title
        with matplotlib.rc_context(_STYLE):
            self.figure = Figure(figsize=size, layout="constrained")
            self.axes: Axes = self.figure.subplots()
            self.axes.set_xlabel(xlabel)
            self.axes.set_ylabel(ylabel)

    def svg(self, legend: str | None = None) -> str:
        """Renders the SVG element.

        Args:
            legend: matplotlib's location of the legend; None for no legend.
        """
        buffer = io.StringIO()
        with matplotlib.rc_context(_STYLE):
            if legend is not None:
                self.axes.legend(loc=legend)
            self.figure.savefig(
                buffer,
                format="svg",
                transparent=True,
                metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
            )
        return _inline(buffer.getvalue(), self.title)


def _inline(text: str, title: str) -> str:
    """Turns a matplotlib SVG file into an element of a page."""
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    head, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]+"', head)[0]
    label = re.sub(r"[^\w .,:()/%-]", " ", title)  # safe in an attribute
    prefix = re.sub(r"\W", "-", title)  # keeps ids unique on the page
    # An SVG's style sheet applies to the whole page; report.css has the two lines for figures.
    rest = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", rest, flags=re.DOTALL)
    rest = re.sub(r'\bid="', f'id="{prefix}-', rest)
    rest = re.sub(r'href="#', f'href="#{prefix}-', rest)
    rest = rest.replace("url(#", f"url(#{prefix}-")
    return f'<svg {box} role="img" aria-label="{label}">{rest.strip()}'


def curve(
    title: str,
    ylabel: str,
    series: Mapping[str, tuple[str, Sequence[float], Sequence[float]]],
    *,
    smooth: bool = False,
    log: bool = False,
    best: float | None = None,
) -> str:
    """Draws numbers over the training steps.

    Args:
        title: title of the figure.
        ylabel: label with unit.
        series: name -> colour, steps, values; NaN leaves a gap.
        smooth: whether to draw a running mean over a fortieth of the rows, and the rows faintly.
        log: whether the y-axis is logarithmic.
        best: step to mark.
    """
    chart = Chart(title, "step", ylabel, (4.2, 2.8))
    axes = chart.axes
    for name, (colour, steps, values) in series.items():
        steps, values = np.asarray(steps, float), np.asarray(values, float)
        window = len(values) // 40 if smooth else 0
        if window > 1:
            axes.plot(steps, values, color=colour, alpha=0.22, linewidth=0.7)
            _plot_single(axes, steps, values, color=colour, alpha=0.22, markersize=1.5)
            values = _running_mean(values, window)
        marker = "o" if np.isfinite(values).sum() < 30 else None
        axes.plot(steps, values, color=colour, label=name, marker=marker, markersize=3)
        if marker is None:
            _plot_single(axes, steps, values, color=colour, markersize=2)
    if log:
        axes.set_yscale("log")
    if best is not None:
        axes.axvline(best, color=_INK, linestyle=(0, (4, 3)), linewidth=1, label=f"best: {best:g}")
    return chart.svg("best" if len(series) > 1 or best is not None else None)


def _plot_single(axes: Axes, steps: np.ndarray, values: np.ndarray, **style: Any) -> None:
    """Draws values between two gaps as dots, since a line does not show them."""
    there = np.pad(np.isfinite(values), 1)
    single = there[1:-1] & ~there[:-2] & ~there[2:]
    if single.any():
        axes.plot(steps[single], values[single], "o", markeredgewidth=0, **style)


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the finite values among `window` neighbours; NaN where there is none."""
    there = np.isfinite(values)
    count = uniform_filter1d(there.astype(float), window, mode="nearest")
    total = uniform_filter1d(np.where(there, values, 0.0), window, mode="nearest")
    return np.where(count * window > 0.5, total / np.maximum(count, 1 / window), np.nan)


def distribution(values: Mapping[str, Sequence[float]], metric: str, title: str) -> str:
    """Draws every case as a dot, from worst to best.

    Args:
        values: task -> one number a case.
        metric: label of the numbers.
        title: title of the figure.
    """
    chart = Chart(title, "share of the cases up to this one", metric, _SMALL)
    for task, numbers in values.items():
        ranks = (np.arange(len(numbers)) + 0.5) / len(numbers)
        chart.axes.plot(
            ranks, np.sort(numbers), "o", color=COLOURS[task], label=TASK_LABELS[task],
            markersize=3.5, markeredgewidth=0,
        )  # fmt: skip
    chart.axes.set_xlim(0, 1)
    return chart.svg("best")


def roc(curves: Curves, title: str) -> str:
    """Draws ROC curves; see `draw_roc`."""
    chart = Chart(title, "1 − specificity", "sensitivity", _SMALL)
    draw_roc(chart.axes, curves, COLOURS, _INK)
    return chart.svg("best")


def precision_recall(curves: Curves, title: str) -> str:
    """Draws precision over recall; see `draw_precision_recall`."""
    chart = Chart(title, "recall (sensitivity)", "precision", _SMALL)
    draw_precision_recall(chart.axes, curves, COLOURS)
    chart.axes.set_ylim(0, 1.03)
    return chart.svg("best")


def reliability(curves: Curves, title: str) -> str:
    """Draws the share of true pixels over the predicted probability; see `draw_reliability`."""
    chart = Chart(title, "predicted probability", "share of true pixels", _SMALL)
    draw_reliability(chart.axes, curves, COLOURS, _INK)
    return chart.svg("best")


def bland_altman(data: Mapping[str, Any], unit: str, title: str) -> str:
    """Draws differences over means, with the bias and the 95 % limits of agreement.

    Args:
        data: `predicted`, `true`, `bias`, `low`, `high`.
        unit: unit of the numbers.
        title: title of the figure.
    """
    predicted, true = (np.asarray(data[name], float) for name in ("predicted", "true"))
    suffix = f" / {unit}" if unit else ""
    chart = Chart(title, f"mean{suffix}", f"predicted − true{suffix}", _SMALL)
    chart.axes.plot(
        (predicted + true) / 2, predicted - true, "o", color=COLOURS[None], markersize=3.5,
        markeredgewidth=0,
    )  # fmt: skip
    chart.axes.axhline(data["bias"], color=_INK, linewidth=1.2)
    for name in ("low", "high"):
        chart.axes.axhline(data[name], color=_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    return chart.svg()
