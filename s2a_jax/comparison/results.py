"""Results of finished runs: Dice of every case, parameters, training time, learning curves."""

import csv
import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.runs.files import count_parameters, read_object
from s2a_jax.runs.metrics import read_metrics

SPLITS = ("val", "test")
OUT_OF_FOLD = "out of fold"
"""Split of a cross-validation: all train and val cases, each in the fold that held it out."""
TASKS = ("rv", "faz")
TASK_NAMES = {"rv": "vessels (RV)", "faz": "avascular zone (FAZ)"}

Dice = dict[str, dict[str, float]]
"""Task -> id of a case that has the task's mask -> Dice in [0, 1]."""

_Content = TypeVar("_Content")


@dataclasses.dataclass(frozen=True)
class Result:
    """One finished run.

    Attributes:
        name: network or variant.
        seed: number that distinguishes its runs.
        folder: workdir, or a folder that `evaluate --out` wrote.
        dice: split -> task -> id -> Dice.
        protocol: split -> protocol and threshold in words, where <split>.json exists.
        parameters: number of parameters; None without weights.safetensors.
        minutes: time of the training steps, without compilation and evaluation; None if unknown.
        fold: fold of a cross-validation that the run held out; None without one.
        fold_of: id of each case of `OUT_OF_FOLD` -> fold that held it out.
    """

    name: str
    seed: int
    folder: Path
    dice: dict[str, Dice]
    protocol: dict[str, str]
    parameters: int | None
    minutes: float | None
    fold: int | None = None
    fold_of: Mapping[str, int] = dataclasses.field(default_factory=dict)


def read_result(name: str, seed: int, folder: Path, fold: int | None = None) -> Result:
    """Reads a finished workdir, or a folder that `evaluate --out` wrote.

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
            result = readable(read_object, summary)
            protocol[split] = f"{result.get('protocol')}, threshold {result.get('threshold')}"
    if not dice:
        raise UserError(
            f"{name}: {folder} has no results/val.csv or test.csv; expected the workdir of a "
            "finished run, or a folder that the command evaluate wrote."
        )
    weights = folder / "weights.safetensors"
    parameters = readable(count_parameters, weights) if weights.is_file() else None
    return Result(name, seed, folder, dice, protocol, parameters, _minutes(folder), fold)


def common_cases(results: Sequence[Result]) -> dict[str, dict[str, list[str]]]:
    """Finds the cases that every run was evaluated on: split -> task -> ids.

    Splits that a run has no results for are left out, and tasks that a run never learned.

    Raises:
        UserError: no split is left, or the runs were evaluated on different cases or under
            different protocols.
    """
    cases: dict[str, dict[str, list[str]]] = {}
    for split in (*SPLITS, OUT_OF_FOLD):
        if not all(split in result.dice for result in results):
            continue
        first = results[0]
        tasks = [task for task in TASKS if all(task in result.dice[split] for result in results)]
        for other in results[1:]:
            check_protocol(split, first, other)
            for task in tasks:
                ids, theirs = (r.dice[split][task].keys() for r in (first, other))
                if different := sorted(ids ^ theirs):
                    raise UserError(
                        f"{other.folder} and {first.folder} were not evaluated on the same {split} "
                        f"cases: only one has {task} of {different[0]!r}."
                    )
        cases[split] = {task: sorted(first.dice[split][task]) for task in tasks}
    if not cases:
        raise UserError("The runs have no split in common: expected results/val.csv in each.")
    return cases


def check_protocol(split: str, first: Result, other: Result) -> None:
    """Raises a UserError if two runs were evaluated on a split under different protocols."""
    ours, theirs = (result.protocol.get(split) for result in (first, other))
    if ours and theirs and ours != theirs:
        raise UserError(
            f"{other.folder} was evaluated on {split} under {theirs}, {first.folder} under {ours}; "
            "evaluate both under one protocol."
        )


def read_curves(folder: Path) -> Mapping[str, np.ndarray]:
    """Reads the learning curves of a run: name -> [N, 2] of step and value.

    `loss` is the unweighted sum of the tasks' losses, so that balancers can be compared;
    `val_rv_dice` and `val_faz_dice` have one point per validation. Empty without metrics.jsonl.
    The last line of a killed run may be cut; it is left out.

    Raises:
        UserError: metrics.jsonl is damaged.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    rows = _rows(folder)
    # A row without one of the tasks would look like a dip, unless no row has that task.
    logged = {name for row in rows for name in row} & {"loss_rv", "loss_faz"}
    for row in rows:
        values = {name: row[name] for name in ("val_rv_dice", "val_faz_dice") if name in row}
        if logged and logged <= row.keys():
            values["loss"] = sum(row[name] for name in logged)
        for name, value in values.items():
            curves.setdefault(name, []).append((row["step"], value))
    return {name: np.array(points) for name, points in curves.items()}


def readable(read: Callable[[Path], _Content], file: Path) -> _Content:
    """Calls a reader of `runs.files`.

    Raises:
        UserError: it is damaged.
    """
    try:
        return read(file)
    except ValueError as error:
        raise UserError(f"{file} {error}; move it away to compare without it.") from error


def _rows(folder: Path) -> list[dict[str, float]]:
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return []
    metrics = readable(read_metrics, path)
    if metrics.broken:
        raise UserError(
            f"{path}: line {metrics.broken[0]} is no JSON object of numbers with a step; remove "
            "the line, or move the file away to compare without it."
        )
    return metrics.rows


def _minutes(folder: Path) -> float | None:
    """Estimates the time of the training steps from the median speed."""
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
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for task in TASKS:
            if not any(f"{task}_dice" in row for row in rows):
                continue  # the network never learned it
            cells = {row["id"]: row[f"{task}_dice"] for row in rows}
            # A cut line has None in the missing cells: not a number.
            values = {case: float(cell) for case, cell in cells.items() if cell != ""}
            if values:
                dice[task] = values
    except (OSError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: expected the column id, and rv_dice, faz_dice or both; numbers or nothing."
        ) from error
    if not dice:
        raise UserError(f"{path} holds no Dice of any case; evaluate the run again.")
    return dice
