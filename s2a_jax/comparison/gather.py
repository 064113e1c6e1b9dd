"""What finished runs left: Dice of every case, size of the network, time, learning curves."""

import csv
import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.runs.files import count_parameters, read_metrics, read_object

SPLITS = ("val", "test")
TASKS = ("rv", "faz")

Dice = dict[str, dict[str, float]]
"""Task -> id of a case with that task's mask -> Dice in [0, 1]."""

_Content = TypeVar("_Content")


@dataclasses.dataclass(frozen=True)
class Result:
    """One finished run.

    Attributes:
        name: the network or variant.
        seed: which of its runs.
        folder: its workdir, or a folder that `evaluate --out` wrote.
        dice: split -> task -> id -> Dice.
        protocol: split -> how it was evaluated, in words, where <split>.json tells.
        parameters: number of weights; None where there is no weights.safetensors.
        minutes: of training steps alone, without compilation and evaluation; None where unknown.
    """

    name: str
    seed: int
    folder: Path
    dice: dict[str, Dice]
    protocol: dict[str, str]
    parameters: int | None
    minutes: float | None


def read_result(name: str, seed: int, folder: Path) -> Result:
    """Reads a finished workdir, or what `evaluate --out` wrote.

    Raises:
        UserError: it has no results, or a file is damaged.
    """
    results = folder / "results" if (folder / "results").is_dir() else folder
    dice, protocol = {}, {}
    for split in SPLITS:
        table, summary = (results / f"{split}.{kind}" for kind in ("csv", "json"))
        if table.is_file():
            dice[split] = _read_dice(table)
        if summary.is_file():
            told = readable(read_object, summary)
            protocol[split] = f"{told.get('protocol')}, threshold {told.get('threshold')}"
    if not dice:
        raise UserError(
            f"{name}: {folder} has no results/val.csv or test.csv; expected the workdir of a "
            "finished run, or a folder that the command evaluate wrote."
        )
    weights = folder / "weights.safetensors"
    parameters = readable(count_parameters, weights) if weights.is_file() else None
    return Result(name, seed, folder, dice, protocol, parameters, _minutes(folder))


def common_cases(results: Sequence[Result]) -> dict[str, dict[str, list[str]]]:
    """Split -> task -> ids of the cases, for the splits that every run has results of.

    Raises:
        UserError: there is no such split, or the runs were evaluated on different cases or under
            different protocols.
    """
    cases: dict[str, dict[str, list[str]]] = {}
    for split in SPLITS:
        if not all(split in result.dice for result in results):
            continue
        first = results[0]
        for other in results[1:]:
            ours, theirs = (result.protocol.get(split) for result in (first, other))
            if ours and theirs and ours != theirs:
                raise UserError(
                    f"{other.folder} was evaluated on {split} under {theirs}, {first.folder} under "
                    f"{ours}; evaluate both alike."
                )
            for task in TASKS:
                ids, theirs = (r.dice[split].get(task, {}).keys() for r in (first, other))
                if different := sorted(ids ^ theirs):
                    raise UserError(
                        f"{other.folder} and {first.folder} were not evaluated on the same {split} "
                        f"cases: only one has {task} of {different[0]!r}."
                    )
        cases[split] = {task: sorted(ids) for task, ids in first.dice[split].items()}
    if not cases:
        raise UserError("The runs have no split in common: expected results/val.csv in each.")
    return cases


def read_curves(folder: Path) -> Mapping[str, np.ndarray]:
    """Learning curves of a run: name of a number -> [N, 2] of step and value.

    `loss`, the losses of the tasks that have masks added without weights, so that balancers can be
    compared; and, at each validation, `val_rv_dice` and `val_faz_dice`. Empty without
    metrics.jsonl. Of a run that was killed the last line may be cut; it is left out.

    Raises:
        UserError: metrics.jsonl is damaged.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    rows = _rows(folder)
    # Where no case has a mask for one of the tasks, the other's loss is all there is; otherwise a
    # batch without such masks would look like a dip.
    logged = {name for row in rows for name in row} & {"loss_rv", "loss_faz"}
    for row in rows:
        values = {name: row[name] for name in ("val_rv_dice", "val_faz_dice") if name in row}
        if logged and logged <= row.keys():
            values["loss"] = sum(row[name] for name in logged)
        for name, value in values.items():
            curves.setdefault(name, []).append((row["step"], value))
    return {name: np.array(points) for name, points in curves.items()}


def readable(read: Callable[[Path], _Content], file: Path) -> _Content:
    """What `read`, a reader of `run_files`, makes of a file.

    Raises:
        UserError: it is damaged.
    """
    try:
        return read(file)
    except ValueError as error:
        raise UserError(f"{file} {error}; move it away to go without.") from error


def _rows(folder: Path) -> list[dict[str, float]]:
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return []
    metrics = readable(read_metrics, path)
    if metrics.broken:
        raise UserError(
            f"{path}: line {metrics.broken[0]} is no JSON object of numbers with a step; remove "
            "the line, or move the file away to go without."
        )
    return metrics.rows


def _minutes(folder: Path) -> float | None:
    """Training steps times images over the median speed."""
    config, rows = folder / "config.json", _rows(folder)
    speeds = [row["images_per_second"] for row in rows if row.get("images_per_second")]
    if not speeds or not config.is_file():
        return None
    train = readable(read_object, config).get("train")
    if not isinstance(train, dict) or not isinstance(train.get("batch_size"), int):
        raise UserError(f"{config} has no train.batch_size, as the configuration of a run has.")
    images = rows[-1]["step"] * train["batch_size"]
    return images / statistics.median(speeds) / 60


def _read_dice(path: Path) -> Dice:
    dice: Dice = {}
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        for task in TASKS:
            cells = {row["id"]: row[f"{task}_dice"] for row in rows}
            # None, of a line that was cut, is no number.
            values = {case: float(cell) for case, cell in cells.items() if cell != ""}
            if values:
                dice[task] = values
    except (OSError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: expected the columns id, rv_dice and faz_dice with numbers or nothing."
        ) from error
    return dice
