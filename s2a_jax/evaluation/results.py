"""What an evaluation leaves: a table, CSV, JSON, curves, best and worst cases."""

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group

from s2a_jax.evaluation.counts import TASKS
from s2a_jax.evaluation.diagrams import draw_curves
from s2a_jax.evaluation.pictures import save_comparison
from s2a_jax.evaluation.scoring import Scores, Shown
from s2a_jax.evaluation.tables import Summary, agreement_table, result_table, summarise
from s2a_jax.files import written_whole


@dataclasses.dataclass(frozen=True)
class Subject:
    """What was evaluated.

    Attributes:
        split: name of the split, and of the files.
        network: name of the network.
        fields: its hyper-parameters.
        step: of the checkpoint, or None.
        notes: sentences to print below the table.
    """

    split: str
    network: str
    fields: dict[str, Any]
    step: int | None = None
    notes: tuple[str, ...] = ()

    def title(self) -> str:
        """For tables and figures."""
        step = "" if self.step is None else f" step {self.step}"
        return f"{self.split}: {self.network}{step}"


def make_tables(scores: Scores, subject: Subject) -> Group:
    """The tables of an evaluation, to be printed, without writing anything."""
    return _tables(scores, subject, summarise(scores))


def write_results(scores: Scores, subject: Subject, folder: Path) -> Group:
    """Writes every file of an evaluation.

    They are <split>.csv (a row a case), <split>.json, <split>_curves.png, and in <split>/ the best
    and the worst cases; docs/evaluation.md tells their content.

    Args:
        scores: the numbers.
        subject: what was evaluated.
        folder: where the files go; made if it is not there.

    Returns:
        The tables, to be printed.
    """
    split = subject.split
    folder.mkdir(parents=True, exist_ok=True)
    summaries = summarise(scores)
    _write_csv(scores, folder / f"{split}.csv")
    pictures = {
        kind: _draw(shown, kind, folder, split)
        for kind, shown in (("best", scores.best()), ("worst", scores.worst()))
    }
    draw_curves(folder / f"{split}_curves.png", scores.curves, subject.title())
    text = json.dumps(_content(scores, subject, summaries, pictures), allow_nan=False)
    with written_whole(folder / f"{split}.json") as partial:
        partial.write_text(text + "\n")
    return _tables(scores, subject, summaries)


def _tables(scores: Scores, subject: Subject, summaries: dict[str, dict[str, Summary]]) -> Group:
    notes = _notes(scores, subject)
    tables = [result_table(scores, summaries, subject.title(), notes)]
    if any(one["cases"] > 1 for one in scores.biomarkers.values()):
        tables.append(agreement_table(scores.biomarkers, f"{subject.title()}, biomarkers"))
    return Group(*tables)


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
            task: {name: _row(one) for name, one in metrics.items()}
            for task, metrics in summaries.items()
        },
        "curves": scores.curves,
        **({"biomarkers": scores.biomarkers} if scores.biomarkers else {}),
        "pictures": pictures,
    }


def _row(summary: Summary) -> dict[str, Any]:
    return {name: v for name, v in dataclasses.asdict(summary).items() if v is not None}


def _write_csv(scores: Scores, path: Path) -> None:
    """One row a case; a cell is empty where the case lacks what the metric needs."""
    columns = {
        f"{task}_{name}": values
        for task, metrics in scores.values.items()
        for name, values in metrics.items()
    }
    with written_whole(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *columns])
        for i, case in enumerate(scores.ids):
            cells = (values[i] for values in columns.values())
            writer.writerow([case, *("" if np.isnan(v) else f"{v:.6f}" for v in cells)])


def _draw(shown: list[Shown], kind: str, folder: Path, split: str) -> list[str]:
    """Draws cases as <split>/<kind><rank>_<id>.png; returns the paths below `folder`."""
    (folder / split).mkdir(exist_ok=True)
    for stale in (folder / split).glob(f"{kind}[0-9]_*.png"):
        stale.unlink()
    paths = []
    for rank, one in enumerate(shown, start=1):
        case = one.prediction
        path = f"{split}/{kind}{rank}_{case.id}.png"
        image = case.image / 255.0 if case.image.dtype == np.uint8 else case.image
        caption = f"{kind} {rank}: {case.id}   mean Dice {one.score:.3f}"
        masks = {task: one.masks[task] for task in TASKS}
        save_comparison(folder / path, image, case.truth, masks, caption)
        paths.append(path)
    return paths
