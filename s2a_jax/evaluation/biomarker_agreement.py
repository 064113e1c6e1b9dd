"""Agreement of biomarkers between predicted and true masks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from s2a_jax.biomarkers.measure import is_biomarker, measure
from s2a_jax.statistics.agreement import bland_altman, icc

Pairs = dict[str, tuple[float, float]]
"""Biomarker, its unit in the name -> its value in the prediction and in the truth."""


def measure_both(
    predicted: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray | None], um_per_px: float
) -> Pairs:
    """Measures the predicted and the true masks of one case.

    Only tasks with a true mask are measured.

    Args:
        predicted: "rv", "faz" -> bool [H, W].
        true: the same, or None where the case has no such mask.
        um_per_px: pixel pitch, um.

    Returns:
        Every biomarker of `s2a_jax.biomarkers.measure`; NaN where it is undefined or the case lacks
        a mask that it needs.
    """
    ours = {task: predicted[task] if mask is not None else None for task, mask in true.items()}
    found, expected = (
        measure(masks["rv"], masks["faz"], um_per_px=um_per_px) for masks in (ours, true)
    )
    return {name: (found[name], expected[name]) for name in found if is_biomarker(name)}


def agreement(ids: Sequence[str], pairs: Sequence[Pairs]) -> dict[str, dict[str, Any]]:
    """Computes the Bland-Altman limits and ICC(2,1) of every biomarker.

    Args:
        ids: names of N cases.
        pairs: `measure_both` of each case.

    Returns:
        Biomarker -> JSON values: `cases` (number of cases in which both masks define it), `bias`
        (mean of predicted minus true), `low` and `high` (95 % limits of agreement), `icc`, and
        `ids`, `predicted` and `true` of those cases. Statistics are None where there are too few
        cases. A biomarker that no case has is absent.
    """
    result = {}
    for name in dict.fromkeys(name for one in pairs for name in one):
        rows = [
            (case, *one[name])
            for case, one in zip(ids, pairs, strict=True)
            if not any(math.isnan(value) for value in one.get(name, (math.nan,)))
        ]
        if not rows:
            continue
        cases, predicted, true = zip(*rows, strict=True)
        limits = bland_altman(predicted, true)
        result[name] = {
            "cases": len(rows),
            "bias": _finite(limits.bias),
            "low": _finite(limits.low),
            "high": _finite(limits.high),
            "icc": _finite(icc(predicted, true)),
            "predicted": list(predicted),
            "true": list(true),
            "ids": list(cases),
        }
    return result


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
