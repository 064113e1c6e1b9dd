"""Evaluation of a network on a set of cases, every case once and at its own size."""

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import rich.box
from jax import Array
from rich.table import Table

from s2a_jax.evaluation.metrics import METRICS, scores

TASKS = ("rv", "faz")


def count_pixels(
    probability: dict[str, Array], truth: dict[str, Array], threshold: float
) -> dict[str, dict[str, Array]]:
    """Confusion counts of every image, inside jit.

    Args:
        probability: {"rv", "faz"}, each [B, H, W] in [0, 1].
        truth: the same in {0, 1}.
        threshold: a pixel is positive from this probability on.

    Returns:
        {"rv", "faz"} -> {"tp", "fp", "fn", "tn"}, each int32 [B].
    """
    counts = {}
    for task in TASKS:
        predicted, true = probability[task] >= threshold, truth[task] > 0
        pairs = {"tp": (1, 1), "fp": (1, 0), "fn": (0, 1), "tn": (0, 0)}
        counts[task] = {
            name: jnp.sum((predicted == p) & (true == t), axis=(1, 2), dtype=jnp.int32)
            for name, (p, t) in pairs.items()
        }
    return counts


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """Counts of N cases.

    Attributes:
        ids: names of the cases.
        counts: task -> `tp`, `fp`, `fn`, `tn` -> int64 [N].
        present: task -> bool [N]: whether the case has that task's mask; others are not counted.
    """

    ids: tuple[str, ...]
    counts: dict[str, dict[str, np.ndarray]]
    present: dict[str, np.ndarray]

    def tasks(self) -> list[str]:
        """The tasks that at least one case has a mask for."""
        return [task for task in TASKS if self.present[task].any()]

    def per_image(self, task: str) -> dict[str, np.ndarray]:
        """Every metric of every case with a mask for `task`."""
        kept = self.present[task]
        return scores({name: values[kept] for name, values in self.counts[task].items()})

    def pooled(self, task: str) -> dict[str, float]:
        """Every metric over all pixels of all cases with a mask for `task`."""
        kept = self.present[task]
        totals = {name: values[kept].sum() for name, values in self.counts[task].items()}
        return {name: float(value) for name, value in scores(totals).items()}

    def mean(self, task: str, metric: str) -> float:
        """Mean over the cases with a mask for `task`."""
        return float(self.per_image(task)[metric].mean())

    def score(self) -> float:
        """What the best checkpoint is chosen by: the sum of mean Dice over the tasks with masks."""
        return sum(self.mean(task, "dice") for task in self.tasks())


def evaluate(
    batches: Sequence[tuple[slice, dict[str, Array]]] | Any,
    count: Callable[[dict[str, Array]], dict[str, dict[str, Array]]],
    ids: tuple[str, ...],
    present: dict[str, np.ndarray],
) -> Evaluation:
    """Counts every case of padded batches once.

    Args:
        batches: pairs of the slice of cases in a batch (padding left out) and the batch.
        count: jitted function from a batch to `count_pixels`' result, replicated on all devices.
        ids: names of all cases.
        present: task -> bool [N].
    """
    counts = {
        task: {name: np.zeros(len(ids), np.int64) for name in ("tp", "fp", "fn", "tn")}
        for task in TASKS
    }
    for part, batch in batches:
        for task, by_name in jax.device_get(count(batch)).items():
            for name, values in by_name.items():
                counts[task][name][part] = values[: part.stop - part.start]
    return Evaluation(ids, counts, present)


def result_table(evaluation: Evaluation, title: str) -> Table:
    """A table: means over images, Dice with its standard deviation and pooled.

    Tasks without a mask are left out; the number of cases counted is a column.
    """
    table = Table(title=title, title_justify="left", box=rich.box.SIMPLE)
    others = ("jaccard", "sensitivity", "specificity", "precision")
    for name in ("task", "cases", "dice", "± sd", "pooled", *others):
        table.add_column(name, justify="left" if name == "task" else "right", no_wrap=True)
    for task in evaluation.tasks():
        values = evaluation.per_image(task)
        dice = values["dice"]
        table.add_row(
            task.upper(),
            str(len(dice)),
            f"{dice.mean():.4f}",
            f"{dice.std():.4f}",
            f"{evaluation.pooled(task)['dice']:.4f}",
            *(f"{values[metric].mean():.4f}" for metric in others),
        )
    return table


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """One row a case: its id and every metric of every task, empty where there is no mask."""
    columns = [f"{task}_{metric}" for task in TASKS for metric in METRICS]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *columns])
        values = {task: scores(evaluation.counts[task]) for task in TASKS}
        for i, case in enumerate(evaluation.ids):
            cells = [
                f"{values[task][metric][i]:.6f}" if evaluation.present[task][i] else ""
                for task in TASKS
                for metric in METRICS
            ]
            writer.writerow([case, *cells])
