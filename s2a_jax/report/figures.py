"""Figures of a report, each an SVG element of its own that takes the colour of the page's text."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import uniform_filter1d

from s2a_jax.report.labels import TASKS

COLOURS = {"rv": "#e5484d", "faz": "#2b8fe6", "faz_post": "#12a594", None: "#9170e0"}
"""Task -> colour, near those of the overlays; legible on white and on black."""

_SMALL = (3.4, 2.7)  # inches of 72 units of the SVG: width and height
_INK = "#010203"  # stands for the colour of the page's text until the SVG is written
_STYLE = {
    "svg.fonttype": "none",  # text stays text: small, selectable, in the page's font
    "svg.hashsalt": "s2a_jax",  # the same figure gives the same file
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
    """One pair of axes that ends as an SVG element.

    Args:
        title: the name for people who do not see the figure.
        xlabel: label with unit.
        ylabel: label with unit.
        size: width and height, in inches of 72 units of the SVG.
    """

    def __init__(self, title: str, xlabel: str, ylabel: str, size: tuple[float, float]):
        self.title = title
        with matplotlib.rc_context(_STYLE):
            self.figure = Figure(figsize=size, layout="constrained")
            self.axes: Axes = self.figure.subplots()
            self.axes.set_xlabel(xlabel)
            self.axes.set_ylabel(ylabel)

    def svg(self, legend: str | None = None) -> str:
        """The element.

        Args:
            legend: where matplotlib shall place a legend; None for no legend.
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
    """A matplotlib SVG file as an element of a page."""
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    head, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]+"', head)[0]
    label = re.sub(r"[^\w .,:()/%-]", " ", title)  # it becomes an attribute
    prefix = re.sub(r"\W", "-", title)  # names of clip paths must not meet those of other figures
    # Its style sheet would hold for the whole page; report.css has the two lines for figures.
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
    """Numbers over the training steps.

    Args:
        title: of the figure.
        ylabel: label with unit.
        series: name -> colour, steps, values; NaN where a row has none, which leaves a gap.
        smooth: draw a running mean over a fortieth of the rows, the rows themselves faintly.
        log: logarithmic ordinate.
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
    """Values between two gaps, of which a line shows nothing, as dots."""
    there = np.pad(np.isfinite(values), 1)
    single = there[1:-1] & ~there[:-2] & ~there[2:]
    if single.any():
        axes.plot(steps[single], values[single], "o", markeredgewidth=0, **style)


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the finite values among `window` neighbours; NaN where there are none."""
    there = np.isfinite(values)
    count = uniform_filter1d(there.astype(float), window, mode="nearest")
    total = uniform_filter1d(np.where(there, values, 0.0), window, mode="nearest")
    return np.where(count * window > 0.5, total / np.maximum(count, 1 / window), np.nan)


def distribution(values: Mapping[str, Sequence[float]], metric: str, title: str) -> str:
    """Every case as a dot, from the worst to the best.  `values`: task -> one number a case."""
    chart = Chart(title, "share of the cases up to this one", metric, _SMALL)
    for task, numbers in values.items():
        ranks = (np.arange(len(numbers)) + 0.5) / len(numbers)
        chart.axes.plot(
            ranks, np.sort(numbers), "o", color=COLOURS[task], markersize=3.5, label=TASKS[task],
            markeredgewidth=0,
        )  # fmt: skip
    chart.axes.set_xlim(0, 1)
    return chart.svg("best")


def roc(curves: Mapping[str, Mapping[str, Any]], title: str) -> str:
    """ROC curves.  `curves`: task -> `fpr`, `tpr`, `auc`."""
    chart = Chart(title, "1 − specificity", "sensitivity", _SMALL)
    for task, data in curves.items():
        label = f"{TASKS[task]}, AUC {data['auc']:.4f}"
        chart.axes.plot(data["fpr"], data["tpr"], color=COLOURS[task], label=label)
    chart.axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=":")
    return chart.svg("best")


def precision_recall(curves: Mapping[str, Mapping[str, Any]], title: str) -> str:
    """Precision over recall.  `curves`: task -> `recall`, `precision`, `average_precision`."""
    chart = Chart(title, "recall (sensitivity)", "precision", _SMALL)
    for task, data in curves.items():
        label = f"{TASKS[task]}, average {data['average_precision']:.4f}"
        chart.axes.plot(data["recall"], data["precision"], color=COLOURS[task], label=label)
    chart.axes.set_ylim(0, 1.03)
    return chart.svg("best")


def reliability(curves: Mapping[str, Mapping[str, Any]], title: str) -> str:
    """How often a pixel is positive, over the probability that it was given.

    Args:
        curves: task -> `confidence`, `frequency`, `pixels` of each bin, and `ece`. The area of a
            dot grows with the logarithm of the pixels in its bin.
        title: of the figure.
    """
    chart = Chart(title, "predicted probability", "share of true pixels", _SMALL)
    chart.axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=":")
    for task, data in curves.items():
        pixels = np.asarray([n or 0 for n in data["pixels"]], float)
        filled = pixels > 0
        x = np.asarray(data["confidence"], float)[filled]
        y = np.asarray(data["frequency"], float)[filled]
        chart.axes.plot(x, y, color=COLOURS[task], linewidth=1)
        chart.axes.scatter(
            x, y, s=4 + 6 * np.log10(pixels[filled]), color=COLOURS[task], linewidth=0,
            label=f"{TASKS[task]}, ECE {data['ece']:.4f}",
        )  # fmt: skip
    return chart.svg("best")


def bland_altman(data: Mapping[str, Any], unit: str, title: str) -> str:
    """Differences over means, with the bias and the 95 % limits of agreement.

    Args:
        data: `predicted`, `true`, `bias`, `low`, `high`.
        unit: of the numbers.
        title: of the figure.
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
