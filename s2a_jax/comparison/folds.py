"""Cross-validation: the runs of all folds as one result, each case by the fold that held it out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from s2a_jax.comparison.results import OUT_OF_FOLD, Result, check_protocol
from s2a_jax.errors import UserError


def pooled(results: Sequence[Result], count: int) -> tuple[list[Result], list[str]]:
    """Joins the folds of every network and seed.

    Args:
        results: finished runs, each with a fold.
        count: number of folds.

    Returns:
        One result for each name and seed that has all folds, with `OUT_OF_FOLD` as its only split,
        the folder of its first fold, and the mean time of a fold; and a sentence about each name
        and seed that lacks some.

    Raises:
        UserError: a run has no results on val, or folds were evaluated under different protocols or
            share a case.
    """
    groups: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        groups.setdefault((result.name, result.seed), []).append(result)
    whole, left_out = [], []
    for (name, seed), folds in groups.items():
        if missing := sorted({*range(count)} - {result.fold for result in folds}):
            which = ", ".join(map(str, missing))
            left_out.append(
                f"{name}, seed {seed}, is left out: not finished of {count} folds: {which}."
            )
        else:
            whole.append(_joined(folds))
    return whole, left_out


def _joined(folds: Sequence[Result]) -> Result:
    first = folds[0]
    dice: dict[str, dict[str, float]] = {}
    fold_of: dict[str, int] = {}
    for one in folds:
        if "val" not in one.dice:
            raise UserError(f"{one.folder} has no results/val.csv; train it again elsewhere.")
        check_protocol("val", first, one)
        cases = {case for values in one.dice["val"].values() for case in values}
        if twice := sorted(cases & fold_of.keys()):
            raise UserError(
                f"{one.folder} and fold {fold_of[twice[0]]} were both evaluated on {twice[0]!r}: "
                "the folds do not belong together; give another --workdir."
            )
        fold_of |= dict.fromkeys(cases, one.fold)
        for task, values in one.dice["val"].items():
            dice.setdefault(task, {}).update(values)
    minutes = [one.minutes for one in folds if one.minutes is not None]
    return replace(
        first,
        dice={OUT_OF_FOLD: dice},
        protocol={OUT_OF_FOLD: first.protocol["val"]} if "val" in first.protocol else {},
        minutes=float(np.mean(minutes)) if minutes else None,
        fold=None,
        fold_of=fold_of,
    )
