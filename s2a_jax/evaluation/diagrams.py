"""ROC, precision-recall and reliability diagrams."""

from pathlib import Path
from typing import Any

from s2a_jax.evaluation.tables import TASK_LABELS

_COLOURS = {"rv": "#c0392b", "faz": "#1f6fb4"}


def draw_curves(path: Path, curves: dict[str, dict[str, Any]], title: str) -> None:
    """Draws the curves of all tasks into one PNG.

    Args:
        path: where it goes.
        curves: task -> `Histogram.curves`.
        title: above the three diagrams.
    """
    # Only now: it takes long to import. The figure is made without pyplot, so no display is asked.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    roc, pr, reliability = figure.subplots(1, 3)
    for axes, name, x, y in (
        (roc, "ROC", "false positive rate", "true positive rate"),
        (pr, "Precision and recall", "recall", "precision"),
        (reliability, "Reliability", "predicted probability", "share of true pixels"),
    ):
        axes.set(title=name, xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.grid(alpha=0.3)
    for axes in (roc, reliability):
        axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1)
    for task, drawn in curves.items():
        style = {"color": _COLOURS[task], "linewidth": 1.6}
        label = TASK_LABELS[task]
        if "roc" in drawn:
            one = drawn["roc"]
            roc.plot(one["fpr"], one["tpr"], label=f"{label}, AUC {one['auc']:.4f}", **style)
            one = drawn["pr"]
            name = f"{label}, average precision {one['average_precision']:.4f}"
            pr.plot(one["recall"], one["precision"], label=name, **style)
        one = drawn["calibration"]
        name = f"{label}, ECE {one['ece']:.4f}"
        reliability.plot(one["confidence"], one["frequency"], marker="o", label=name, **style)
    for axes in (roc, pr, reliability):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best", fontsize=9)
        else:  # no pixel, or every pixel, belongs to the structure
            axes.text(0.5, 0.5, "not defined for these masks", ha="center", fontsize=9)
    figure.savefig(path, dpi=110)
