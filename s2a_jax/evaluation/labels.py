"""Labels of tasks and metrics in printed tables, figures and reports."""

from typing import NamedTuple

TASK_LABELS = {"rv": "RV", "faz": "FAZ", "faz_post": "FAZ, post-processed"}
"""Task -> label."""


class MetricLabel(NamedTuple):
    """The two labels of a metric, each with its unit.

    Attributes:
        printed: in printed tables.
        report: in the HTML report, with an arrow where lower is better.
    """

    printed: str
    report: str


METRIC_LABELS = {
    "dice": MetricLabel("Dice", "Dice"),
    "jaccard": MetricLabel("Jaccard", "Jaccard"),
    "sensitivity": MetricLabel("sensitivity", "Sensitivity"),
    "specificity": MetricLabel("specificity", "Specificity"),
    "precision": MetricLabel("precision", "Precision"),
    "accuracy": MetricLabel("accuracy", "Accuracy"),
    "fdr": MetricLabel("FDR", "FDR ↓"),
    "g_mean": MetricLabel("G-mean", "G-mean"),
    "kappa": MetricLabel("Cohen's kappa", "Cohen's κ"),
    "auc": MetricLabel("ROC AUC", "ROC AUC"),
    "cl_dice": MetricLabel("clDice", "clDice"),
    "hd95_px": MetricLabel("HD95, px", "HD95 ↓ (px)"),
    "assd_px": MetricLabel("ASSD, px", "ASSD ↓ (px)"),
    "hd95_um": MetricLabel("HD95, um", "HD95 ↓ (µm)"),
    "assd_um": MetricLabel("ASSD, um", "ASSD ↓ (µm)"),
    "betti0_error": MetricLabel("betti-0 error", "Betti-0 error ↓"),
    "pvr_dice": MetricLabel("Dice in FAZ window", "Dice in the window"),
}
"""Every metric -> its labels, in the order of tables and files."""


def decimals(metric: str) -> int:
    """Number of decimals to show of a metric: most lie in [0, 1], distances and counts do not."""
    return 2 if metric.endswith(("_px", "_um", "_error")) else 4
