"""ROC, precision-recall and reliability diagrams on matplotlib axes, and all three as one PNG.

Each `draw_...` function draws the curves of all tasks on one pair of axes; titles, axis labels,
limits and legend are up to the caller.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s2a_jax.evaluation.labels import TASK_LABELS
from s2a_jax.files import written_whole

COLOURS = {"rv": "#c0392b", "faz": "#1f6fb4"}
"""Task -> colour, on white."""
_GREY = "0.6"  # of the diagonals

Curves = Mapping[str, Mapping[str, Any]]
"""Task -> one of the curves of `Pool.curves`."""


def draw_roc(axes: Axes, curves: Curves, colours: Mapping[str, str], diagonal: str) -> None:
    """Draws ROC curves and the diagonal of chance.

    Args:
        axes: to draw on.
        curves: task -> `fpr`, `tpr`, `auc`.
        colours: task -> colour.
        diagonal: colour of the diagonal.
    """
    axes.plot([0, 1], [0, 1], color=diagonal, linestyle=":", linewidth=0.8)
    for task, curve in curves.items():
        label = f"{TASK_LABELS[task]}, AUC {curve['auc']:.4f}"
        axes.plot(curve["fpr"], curve["tpr"], color=colours[task], label=label)


def draw_precision_recall(axes: Axes, curves: Curves, colours: Mapping[str, str]) -> None:
    """Draws precision over recall.

    Args:
        axes: to draw on.
        curves: task -> `recall`, `precision`, `average_precision`.
        colours: task -> colour.
    """
    for task, curve in curves.items():
        label = f"{TASK_LABELS[task]}, average precision {curve['average_precision']:.4f}"
        axes.plot(curve["recall"], curve["precision"], color=colours[task], label=label)


def draw_reliability(axes: Axes, curves: Curves, colours: Mapping[str, str], diagonal: str) -> None:
    """Draws the share of true pixels over the predicted probability, and the ideal diagonal.

    The area of a dot grows with the logarithm of the number of pixels in its bin.

    Args:
        axes: to draw on.
        curves: task -> `confidence`, `frequency` and `pixels` of each bin, and `ece`.
        colours: task -> colour.
        diagonal: colour of the diagonal.
    """
    axes.plot([0, 1], [0, 1], color=diagonal, linestyle=":", linewidth=0.8)
    for task, curve in curves.items():
        x, y, colour = curve["confidence"], curve["frequency"], colours[task]
        axes.plot(x, y, color=colour, linewidth=1)
        axes.scatter(
            x, y, s=4 + 6 * np.log10(np.maximum(curve["pixels"], 1)), color=colour, linewidth=0,
            label=f"{TASK_LABELS[task]}, ECE {curve['ece']:.4f}",
        )  # fmt: skip


def save_curves(path: Path, curves: Mapping[str, Mapping[str, Any]], title: str) -> None:
    """Draws the three diagrams side by side into one PNG.

    Args:
        path: the PNG.
        curves: task -> `Pool.curves`.
        title: text above the diagrams.
    """
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    figure.suptitle(title)
    roc, pr, reliability = figure.subplots(1, 3)
    draw_roc(roc, of_each_task(curves, "roc"), COLOURS, _GREY)
    draw_precision_recall(pr, of_each_task(curves, "pr"), COLOURS)
    draw_reliability(reliability, of_each_task(curves, "calibration"), COLOURS, _GREY)
    for axes, name, x, y in (
        (roc, "ROC", "false positive rate", "true positive rate"),
        (pr, "Precision and recall", "recall", "precision"),
        (reliability, "Reliability", "predicted probability", "share of true pixels"),
    ):
        axes.set(title=name, xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best", fontsize=9)
        else:  # no pixel, or every pixel, belongs to the structure
            axes.text(0.5, 0.5, "not defined for these masks", ha="center", fontsize=9)
    with written_whole(path) as partial:
        figure.savefig(partial, dpi=110)


def of_each_task(curves: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Task -> its curve of that name, for the tasks that have one."""
    return {task: by_name[name] for task, by_name in curves.items() if name in by_name}
