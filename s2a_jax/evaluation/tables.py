"""Means, deviations and intervals over cases, and the table that shows them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import rich.box
from rich.table import Table

from s2a_jax.evaluation.scoring import Scores
from s2a_jax.statistics.intervals import bootstrap_interval

LABELS = {
    "dice": "Dice", "jaccard": "Jaccard", "sensitivity": "sensitivity",
    "specificity": "specificity", "precision": "precision", "accuracy": "accuracy",
    "fdr": "FDR", "g_mean": "G-mean", "kappa": "Cohen's kappa", "auc": "ROC AUC",
    "cl_dice": "clDice", "hd95_px": "HD95, px", "assd_px": "ASSD, px", "hd95_um": "HD95, um",
    "assd_um": "ASSD, um", "betti0_error": "betti-0 error", "pvr_dice": "Dice in FAZ window",
}  # fmt: skip
"""Metric -> its name for people, with the unit if it has one."""

TASK_LABELS = {"rv": "RV", "faz": "FAZ", "faz_post": "FAZ, post-processed"}


@dataclass(frozen=True)
class Summary:
    """One metric over the cases that have it.

    Attributes:
        mean: over images.
        sd: over images, of the population (divided by N); None of a single one, and so are the
            next two, which would say more than is known.
        low: lower end of the 95 % bootstrap interval of the mean.
        high: its upper end.
        cases: number of images.
        pooled: the metric of all images' pixels together, or None.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    cases: int
    pooled: float | None


def summarise(scores: Scores) -> dict[str, dict[str, Summary]]:
    """Task -> metric -> summary; what no case has is absent."""
    summaries: dict[str, dict[str, Summary]] = {}
    for task, metrics in scores.values.items():
        summaries[task] = {}
        for name, values in metrics.items():
            kept = values[~np.isnan(values)]
            if not len(kept):
                continue
            pooled = scores.pooled[task].get(name) if scores.settings.protocol.is_pooled else None
            spread = (None, None, None)
            if len(kept) > 1:
                spread = (float(kept.std()), *bootstrap_interval(kept))
            summaries[task][name] = Summary(float(kept.mean()), *spread, len(kept), pooled)
    return summaries


def result_table(
    scores: Scores, summaries: dict[str, dict[str, Summary]], title: str, notes: list[str]
) -> Table:
    """A table with one row for each task and metric.

    Args:
        scores: the numbers.
        summaries: what `summarise` makes of them.
        title: what was evaluated.
        notes: sentences below the table, besides the definition of the window.
    """
    is_pooled = scores.settings.protocol.is_pooled
    caption = list(notes)
    if any("pvr_dice" in metrics for metrics in summaries.values()):
        caption.insert(0, f"FAZ window: {scores.settings.window.describe()}.")
    table = Table(
        title=f"{title}, {scores.settings.protocol.describe()}",
        caption="\n".join(caption),
        title_justify="left",
        caption_justify="left",
        box=rich.box.SIMPLE,
    )
    for name in ("task", "metric", "mean ± sd", "95 % interval", "pooled", "cases"):
        if name != "pooled" or is_pooled:
            justify = "left" if name in ("task", "metric") else "right"
            table.add_column(name, justify=justify, no_wrap=True)
    for task, metrics in summaries.items():
        for i, (name, one) in enumerate(metrics.items()):
            digits = 2 if name.endswith(("_px", "_um", "_error")) else 4
            pooled = "" if one.pooled is None else f"{one.pooled:.{digits}f}"
            table.add_row(
                TASK_LABELS[task] if i == 0 else "",
                LABELS[name],
                f"{one.mean:.{digits}f}" + ("" if one.sd is None else f" ± {one.sd:.{digits}f}"),
                "–" if one.low is None else f"{one.low:.{digits}f} to {one.high:.{digits}f}",
                *([pooled] if is_pooled else []),
                str(one.cases),
                end_section=i == len(metrics) - 1,
            )
    return table


def agreement_table(biomarkers: dict[str, dict[str, Any]], title: str) -> Table:
    """A table of how biomarkers of predicted masks agree with those of true ones.

    Args:
        biomarkers: what `agreement.agreement` gives. Those of single ETDRS sectors, and those that
            fewer than two cases have, are left out.
        title: what was evaluated.
    """
    table = Table(
        title=title,
        caption="Bias and limits: mean and 95 % limits of agreement (Bland-Altman) of predicted "
        "minus true.",
        title_justify="left",
        caption_justify="left",
        box=rich.box.SIMPLE,
    )
    table.add_column("biomarker", no_wrap=True)
    for name in ("true mean", "bias", "limits of agreement", "ICC(2,1)", "cases"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, one in biomarkers.items():
        if "_etdrs_" not in name and one["cases"] > 1:
            table.add_row(
                name,
                f"{np.mean(one['true']):.4g}",
                f"{one['bias']:.3g}",
                f"{one['low']:.3g} to {one['high']:.3g}",
                "" if one["icc"] is None else f"{one['icc']:.3f}",
                str(one["cases"]),
            )
    return table
