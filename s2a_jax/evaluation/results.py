"""What an evaluation prints and writes: tables, CSV, JSON, curves, best and worst cases."""

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import rich.box
from rich.console import Group
from rich.table import Table

from s2a_jax.evaluation.counts import TASKS
from s2a_jax.evaluation.diagrams import save_curves
from s2a_jax.evaluation.labels import METRIC_LABELS, TASK_LABELS, decimals
from s2a_jax.evaluation.pictures import save_comparison
from s2a_jax.evaluation.scoring import Scores, Shown
from s2a_jax.files import text_cell, written_whole
from s2a_jax.inputs.images import unit_pixels
from s2a_jax.inputs.names import file_name_of
from s2a_jax.statistics.intervals import bootstrap_interval


@dataclasses.dataclass(frozen=True)
class Subject:
    """The network and the split that were evaluated.

    Attributes:
        split: name of the split, and of the files.
        network: name of the network.
        fields: its hyper-parameters.
        step: step of the checkpoint, or None.
        notes: sentences to print below the table.
    """

    split: str
    network: str
    fields: dict[str, Any]
    step: int | None = None
    notes: tuple[str, ...] = ()

    def title(self) -> str:
        """Title of tables and figures."""
        step = "" if self.step is None else f" step {self.step}"
        return f"{self.split}: {self.network}{step}"


@dataclasses.dataclass(frozen=True)
class Summary:
    """One metric over the cases that have it.

    Attributes:
        mean: mean over the cases.
        sd: standard deviation over the cases (divided by N). None for a single case, and so are
            `low` and `high`.
        low: lower end of the 95 % bootstrap interval of the mean.
        high: its upper end.
        cases: number of cases.
        pooled: the metric of all cases' pixels together, or None.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    cases: int
    pooled: float | None


def summarise(scores: Scores) -> dict[str, dict[str, Summary]]:
    """Summarises every metric over the cases: task -> metric -> summary.

    Metrics that no case has are absent.
    """
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


def make_tables(scores: Scores, subject: Subject) -> Group:
    """Makes the tables of an evaluation for the console; writes nothing."""
    return _tables(scores, subject, summarise(scores))


def write_results(scores: Scores, subject: Subject, folder: Path) -> Group:
    """Writes every file of an evaluation.

    These are <split>.csv (one row per case), <split>.json, <split>_curves.png, and in <split>/ the
    best and the worst cases; docs/evaluation.md describes their content.

    Args:
        scores: the numbers.
        subject: what was evaluated.
        folder: where the files go; made if it does not exist.

    Returns:
        The tables for the console.

    Raises:
        UserError: the CSV or JSON file cannot be written.
    """
    split = subject.split
    folder.mkdir(parents=True, exist_ok=True)
    summaries = summarise(scores)
    _write_csv(scores, folder / f"{split}.csv")
    pictures = {
        kind: _draw(shown, kind, folder, split)
        for kind, shown in (("best", scores.best()), ("worst", scores.worst()))
    }
    save_curves(folder / f"{split}_curves.png", scores.curves, subject.title())
    text = json.dumps(_content(scores, subject, summaries, pictures), allow_nan=False)
    with written_whole(folder / f"{split}.json") as partial:
        partial.write_text(text + "\n")
    return _tables(scores, subject, summaries)


def _tables(scores: Scores, subject: Subject, summaries: dict[str, dict[str, Summary]]) -> Group:
    tables = [_metric_table(scores, subject, summaries)]
    if any(one["cases"] > 1 for one in scores.biomarkers.values()):
        tables.append(_agreement_table(scores, subject))
    return Group(*tables)


def _metric_table(
    scores: Scores, subject: Subject, summaries: dict[str, dict[str, Summary]]
) -> Table:
    """Makes the table with one row for each task and metric."""
    is_pooled = scores.settings.protocol.is_pooled
    caption = _notes(scores, subject)
    if any("pvr_dice" in metrics for metrics in summaries.values()):
        caption.insert(0, f"FAZ window: {scores.settings.window.describe()}.")
    table = Table(
        title=f"{subject.title()}, {scores.settings.protocol.describe()}",
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
            digits = decimals(name)
            pooled = "" if one.pooled is None else f"{one.pooled:.{digits}f}"
            table.add_row(
                TASK_LABELS[task] if i == 0 else "",
                METRIC_LABELS[name].printed,
                f"{one.mean:.{digits}f}" + ("" if one.sd is None else f" ± {one.sd:.{digits}f}"),
                "–" if one.low is None else f"{one.low:.{digits}f} to {one.high:.{digits}f}",
                *([pooled] if is_pooled else []),
                str(one.cases),
                end_section=i == len(metrics) - 1,
            )
    return table


def _agreement_table(scores: Scores, subject: Subject) -> Table:
    """Makes the table of how biomarkers of predicted masks agree with those of true masks.

    Biomarkers of single ETDRS sectors, and those that only one case has, are left out.
    """
    table = Table(
        title=f"{subject.title()}, biomarkers",
        caption="Bias and limits: mean and 95 % limits of agreement (Bland-Altman) of predicted "
        "minus true.",
        title_justify="left",
        caption_justify="left",
        box=rich.box.SIMPLE,
    )
    table.add_column("biomarker", no_wrap=True)
    for name in ("true mean", "bias", "limits of agreement", "ICC(2,1)", "cases"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, one in scores.biomarkers.items():
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


def _notes(scores: Scores, subject: Subject) -> list[str]:
    notes = list(subject.notes)
    if not any("hd95_um" in metrics for metrics in scores.values.values()):
        notes.append("No case has a known pixel pitch: distances are in pixels only.")
    return notes


def _content(
    scores: Scores,
    subject: Subject,
    summaries: dict[str, dict[str, Summary]],
    pictures: dict[str, list[str]],
) -> dict[str, Any]:
    """Makes the content of <split>.json."""
    settings = scores.settings
    return {
        "split": subject.split,
        "protocol": settings.protocol.name,
        "threshold": settings.protocol.threshold,
        "window": str(settings.window),
        "window_definition": settings.window.describe(),
        "postprocess": settings.postprocess,
        "network": subject.network,
        "fields": subject.fields,
        "step": subject.step,
        "cases": len(scores.ids),
        "um_per_px": scores.um_per_px,
        "notes": _notes(scores, subject),
        "metrics": {
            task: {name: _present(one) for name, one in metrics.items()}
            for task, metrics in summaries.items()
        },
        "curves": scores.curves,
        **({"biomarkers": scores.biomarkers} if scores.biomarkers else {}),
        "pictures": pictures,
    }


def _present(summary: Summary) -> dict[str, Any]:
    """Attributes of a summary that are not None."""
    return {name: v for name, v in dataclasses.asdict(summary).items() if v is not None}


def _write_csv(scores: Scores, path: Path) -> None:
    """Writes one row per case; a cell is empty where the case lacks what the metric needs."""
    columns = {
        f"{task}_{name}": values
        for task, metrics in scores.values.items()
        for name, values in metrics.items()
    }
    with written_whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *columns])
        for i, case in enumerate(scores.ids):
            cells = (values[i] for values in columns.values())
            writer.writerow([text_cell(case), *("" if np.isnan(v) else f"{v:.6f}" for v in cells)])


def _draw(shown: list[Shown], kind: str, folder: Path, split: str) -> list[str]:
    """Draws cases as <split>/<kind><rank>_<id>.png; returns paths relative to `folder`."""
    (folder / split).mkdir(exist_ok=True)
    for stale in (folder / split).glob(f"{kind}[0-9]_*.png"):
        stale.unlink()
    paths = []
    for rank, one in enumerate(shown, start=1):
        path = f"{split}/{kind}{rank}_{file_name_of(one.id)}.png"
        image = unit_pixels(one.image)
        caption = f"{kind} {rank}: {one.id}   mean Dice {one.score:.3f}"
        masks = {task: mask for task, mask in one.masks.items() if task in TASKS}
        save_comparison(folder / path, image, one.truth, masks, caption)
        paths.append(path)
    return paths
