"""Numbers of the comparison: one row per network, task and split."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from s2a_jax.comparison.results import Result
from s2a_jax.statistics.intervals import bootstrap_interval
from s2a_jax.statistics.significance import holm, paired_wilcoxon, rank_biserial


@dataclasses.dataclass(frozen=True)
class Row:
    """One network on one task of one split. A case's Dice is its mean over the seeds.

    Attributes:
        split: `val`, `test` or `out of fold`.
        task: `rv` or `faz`.
        name: network or variant.
        parameters: number of parameters, or None.
        minutes: mean training time over the seeds, or None.
        seeds: number of runs, all folds of a seed counted as one.
        cases: number of cases.
        mean: mean Dice over the cases.
        sd: standard deviation over the cases, divided by N as in a run's own tables. For a single
            case `sd`, `low`, `high` and `effect` are None.
        low: lower end of the 95 % bootstrap interval of the mean over the cases.
        high: its upper end.
        seed_sd: standard deviation of the mean Dice over the seeds, divided by N - 1; None for
            one seed.
        difference: mean minus the reference's mean. For the reference itself this and all fields
            below are None.
        p: p-value of the paired Wilcoxon test, corrected by Holm over the comparisons of this task
            and split; None with too few cases.
        p_uncorrected: p-value before the correction.
        effect: matched-pairs rank-biserial correlation; positive: better than the reference.
    """

    split: str
    task: str
    name: str
    parameters: int | None
    minutes: float | None
    seeds: int
    cases: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None
    seed_sd: float | None
    difference: float | None
    p: float | None
    p_uncorrected: float | None
    effect: float | None


def compare(
    results: Sequence[Result], cases: Mapping[str, Mapping[str, Sequence[str]]], reference: str
) -> list[Row]:
    """Computes all rows, by split and task, the networks in the order of `results`.

    Args:
        results: finished runs; runs with one name are its seeds.
        cases: what `common_cases` returned.
        reference: name that all others are tested against.
    """
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.name, []).append(result)
    rows = []
    for split, tasks in cases.items():
        for task, ids in tasks.items():
            dice = {  # [seeds, cases]
                name: np.array([[run.dice[split][task][case] for case in ids] for run in runs])
                for name, runs in groups.items()
            }
            rows += _task_rows(split, task, groups, dice, reference)
    return rows


def _task_rows(
    split: str,
    task: str,
    groups: Mapping[str, Sequence[Result]],
    dice: Mapping[str, np.ndarray],
    reference: str,
) -> list[Row]:
    per_case = {name: values.mean(axis=0) for name, values in dice.items()}
    others = [name for name in groups if name != reference]
    p_values = {name: paired_wilcoxon(per_case[name], per_case[reference]) for name in others}
    tested = [name for name in others if p_values[name] is not None]
    corrected = dict(zip(tested, holm([p_values[name] for name in tested]), strict=True))
    rows = []
    for name, runs in groups.items():
        values, is_other = per_case[name], name != reference
        seed_means = dice[name].mean(axis=1)
        spread = len(values) > 1  # a single case says nothing about others
        low, high = bootstrap_interval(values) if spread else (None, None)
        minutes = [run.minutes for run in runs if run.minutes is not None]
        rows.append(
            Row(
                split=split,
                task=task,
                name=name,
                parameters=runs[0].parameters,
                minutes=float(np.mean(minutes)) if minutes else None,
                seeds=len(runs),
                cases=len(values),
                mean=float(values.mean()),
                sd=float(values.std()) if spread else None,
                low=low,
                high=high,
                seed_sd=float(seed_means.std(ddof=1)) if len(runs) > 1 else None,
                difference=float(np.mean(values - per_case[reference])) if is_other else None,
                p=corrected.get(name),
                p_uncorrected=p_values.get(name),
                effect=(
                    rank_biserial(values, per_case[reference]) if is_other and spread else None
                ),
            )
        )
    return rows
