"""How well the expected Dice of a mask, which needs no truth, predicts its Dice with the truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rich.box
from matplotlib.figure import Figure
from rich.table import Table
from scipy import stats

from s2a_jax.biomarkers.table import write_rows
from s2a_jax.evaluation.diagrams import COLOURS
from s2a_jax.evaluation.labels import TASK_LABELS

_FEWEST = 3  # cases of a correlation


@dataclass(frozen=True, eq=False)
class Foresight:
    """Expected and true Dice of one task over N cases.

    The risk at coverage k / N is the mean of 1 - Dice over the k cases with the highest expected
    Dice: what is left if the others are sent to a grader.

    Attributes:
        expected: float64 [N], in [0, 1].
        dice: float64 [N], in [0, 1].
        pearson: correlation of both; NaN below 3 cases, or if either is constant.
        spearman: correlation of their ranks; NaN likewise.
        risk: float64 [N], at coverages 1 / N, 2 / N, ... 1.
        ideal: the same if the cases were ordered by their Dice.
    """

    expected: np.ndarray
    dice: np.ndarray
    pearson: float
    spearman: float
    risk: np.ndarray
    ideal: np.ndarray

    @property
    def bias(self) -> float:
        """Mean of expected minus true Dice."""
        return float((self.expected - self.dice).mean())

    @property
    def gain(self) -> float:
        """Area between the risk at random and `risk`, over that between it and `ideal`.

        1 if the cases are in the order of their Dice, about 0 if the order means nothing; NaN if
        all have the same Dice.
        """
        possible = self.risk[-1] - self.ideal.mean()
        return float((self.risk[-1] - self.risk.mean()) / possible) if possible > 1e-12 else np.nan


def foresight(expected: np.ndarray, dice: np.ndarray) -> Foresight:
    """Compares expected and true Dice; both [N], Dice NaN where a case has no true mask."""
    known = ~np.isnan(dice)
    expected, dice = expected[known], dice[known]
    pearson = spearman = np.nan
    if len(dice) >= _FEWEST and np.ptp(expected) > 0 and np.ptp(dice) > 0:
        pearson = float(stats.pearsonr(expected, dice).statistic)
        spearman = float(stats.spearmanr(expected, dice).statistic)
    risk, ideal = _risk(expected, dice), _risk(dice, dice)
    return Foresight(expected, dice, pearson, spearman, risk, ideal)


def _risk(trust: np.ndarray, dice: np.ndarray) -> np.ndarray:
    """Mean of 1 - Dice over the 1, 2, ... N most trusted cases."""
    order = np.argsort(-trust, kind="stable")
    return np.cumsum(1 - dice[order]) / np.arange(1, len(dice) + 1)


def foresight_table(found: Mapping[str, Foresight], title: str) -> Table:
    """A table with one row for each task."""
    table = Table(
        title=f"{title}, expected Dice as a predictor of Dice",
        caption="Bias: mean of expected minus true Dice. Gain: leaving out the cases with the "
        "lowest\nexpected Dice avoids this share of the error that leaving out the worst does.",
        title_justify="left",
        caption_justify="left",
        box=rich.box.SIMPLE,
    )
    table.add_column("task")
    for name in ("expected", "Dice", "bias", "Pearson r", "Spearman rho", "gain", "cases"):
        table.add_column(name, justify="right", no_wrap=True)
    for task, one in found.items():
        numbers = (one.expected.mean(), one.dice.mean(), one.bias, one.pearson, one.spearman)
        cells = ("–" if np.isnan(number) else f"{number:.3f}" for number in (*numbers, one.gain))
        table.add_row(TASK_LABELS[task], *cells, str(len(one.dice)))
    return table


def write_foresight(
    folder: Path,
    split: str,
    ids: Sequence[str],
    columns: Mapping[str, np.ndarray],
    found: Mapping[str, Foresight],
) -> None:
    """Writes <split>_expected_dice.csv, one row per case, and the curves as PNG.

    Args:
        folder: must exist.
        split: what was evaluated.
        ids: of the cases.
        columns: name of a column -> float64 [N], NaN where it is not defined.
        found: task -> its comparison.
    """
    cells = zip(*columns.values(), strict=True)
    rows = [{"id": id_, **dict(zip(columns, row, strict=True))}
            for id_, row in zip(ids, cells, strict=True)]  # fmt: skip
    write_rows(folder / f"{split}_expected_dice.csv", rows)
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    figure.suptitle(split)
    scatter, curve = figure.subplots(1, 2)
    for task, one in found.items():
        coverage = np.arange(1, len(one.risk) + 1) / len(one.risk)
        colour = COLOURS[task]
        curve.plot(coverage, one.risk, color=colour, label=TASK_LABELS[task])
        curve.plot(coverage, one.ideal, color=colour, linestyle=":")
        scatter.scatter(one.expected, one.dice, s=8, color=colour, label=TASK_LABELS[task])
    scatter.axline((1, 1), slope=1, color="0.6", linewidth=0.8)
    scatter.set(xlabel="expected Dice", ylabel="Dice")
    curve.set(xlabel="coverage", ylabel="risk (1 - Dice); dotted: best order", xlim=(0, 1.01))
    for axes in (scatter, curve):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=9)
    figure.savefig(folder / f"{split}_expected_dice.png", dpi=110)
