"""One evaluation by several processes: each scores its own cases, and all get all numbers.

Texts travel between the processes: JSON for numbers, which keeps every bit of a float, and npz for
pixels. Pictures travel only of the few cases that are drawn.
"""

import base64
import io
import json
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.evaluation.counts import TASKS
from s2a_jax.evaluation.curves import Histogram, Pool
from s2a_jax.evaluation.scoring import (
    Prediction,
    Row,
    Scored,
    Scores,
    Settings,
    Shown,
    assemble,
    best_first,
    drawn,
    score_all,
)

Exchange = Callable[[Callable[[], list[str]]], list[list[str]]]
"""Does the work of this process, and returns the lines that the work of each process returned."""


def score_shared(
    predictions: Iterable[Prediction],
    positions: Sequence[int],
    ids: Sequence[str],
    settings: Settings,
    exchange: Exchange,
) -> Scores:
    """Scores the cases of this process, and gathers the numbers of all; every process calls this.

    Args:
        predictions: the cases of this process, consumed lazily and to the end.
        positions: place of each among all cases, increasing.
        ids: names of all cases.
        settings: settings of the evaluation.
        exchange: see `Exchange`; a UserError in the work of one process must reach all.

    Returns:
        The same on every process, and for any number of processes.

    Raises:
        UserError: as `score_cases`, of the cases of any process; or the processes have other cases.
    """
    mine = Scored()
    digest = blake2b(repr([*ids]).encode(), digest_size=16).hexdigest()

    def score() -> list[str]:
        nonlocal mine
        predictions_left = iter(predictions)
        try:
            mine = score_all(predictions_left, positions, settings)
        except UserError:
            for _ in predictions_left:  # the others wait for this process in every batch
                pass
            raise
        return [digest, _pools_to_line(mine.pools), *map(_row_to_line, mine.rows)]

    found = exchange(score)
    if len({theirs for theirs, *_ in found}) > 1:
        raise UserError(
            "The processes evaluate different cases, whose names differ; the data set must be the "
            "same for all."
        )
    rows = sorted(
        (_row_from_line(line) for _, _, *lines in found for line in lines),
        key=lambda row: row.position,
    )
    if [(row.position, row.id) for row in rows] != [*enumerate(ids)]:
        raise RuntimeError("a case was scored twice, or not at all")
    pools: dict[str, Pool] = {}
    for _, packed, *_ in found:
        for task, histogram in _pools_from_line(packed).items():
            pools.setdefault(task, Pool()).add(histogram)
    wanted = drawn(rows)
    pictures = exchange(
        lambda: [_shown_to_line(one) for one in mine.shown if one.position in wanted]
    )
    shown = [_shown_from_line(line, rows) for lines in pictures for line in lines]
    return assemble(rows, pools, best_first(shown), settings)


def _row_to_line(row: Row) -> str:
    calibration = {task: one.calibration.tolist() for task, one in row.histograms.items()}
    numbers = (row.counts, row.region, row.values, calibration, row.biomarkers)
    return json.dumps([row.position, row.id, row.um_per_px, *numbers])


def _row_from_line(line: str) -> Row:
    position, name, um_per_px, counts, region, values, calibration, biomarkers = json.loads(line)
    histograms = {
        task: Histogram(np.zeros(0, np.int32), np.zeros(0, np.int64), np.array(one))
        for task, one in calibration.items()
    }
    pairs = {name: tuple(pair) for name, pair in biomarkers.items()}
    return Row(name, um_per_px, {}, counts, region, values, histograms, pairs, position)


def _pools_to_line(pools: dict[str, Pool]) -> str:
    arrays = {}
    for task, pool in pools.items():
        histogram = pool.histogram()
        arrays |= {f"{task} bins": histogram.bins, f"{task} pixels": histogram.pixels}
        arrays[f"{task} calibration"] = histogram.calibration
    return _packed(arrays)


def _pools_from_line(line: str) -> dict[str, Histogram]:
    arrays = _unpacked(line)
    fields = ("bins", "pixels", "calibration")
    tasks = [name.removesuffix(" bins") for name in arrays if name.endswith(" bins")]
    return {task: Histogram(*(arrays[f"{task} {field}"] for field in fields)) for task in tasks}


def _shown_to_line(one: Shown) -> str:
    arrays = {"position": np.array(one.position), "image": one.image}
    for kind, masks in (("truth", one.truth), ("masks", one.masks)):
        arrays |= {f"{kind} {task}": mask for task, mask in masks.items() if mask is not None}
    return _packed(arrays)


def _shown_from_line(line: str, rows: Sequence[Row]) -> Shown:
    arrays = _unpacked(line)
    row = rows[int(arrays["position"])]
    truth = {task: arrays.get(f"truth {task}") for task in TASKS}
    masks = {task: arrays[f"masks {task}"] for task in TASKS if f"masks {task}" in arrays}
    return Shown(row.position, row.id, row.score, arrays["image"], truth, masks)


def _packed(arrays: dict[str, np.ndarray]) -> str:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return base64.b64encode(file.getvalue()).decode()


def _unpacked(text: str) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
