"""What finished runs left: Dice of every case, size of the network, time, learning curves."""

import csv
import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from s2a_jax.errors import UserError

SPLITS = ("val", "test")
TASKS = ("rv", "faz")

Dice = dict[str, dict[str, float]]
"""Task -> id of a case with that task's mask -> Dice in [0, 1]."""


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
        UserError: it has no results, or they cannot be read.
    """
    results = folder / "results" if (folder / "results").is_dir() else folder
    dice, protocol = {}, {}
    for split in SPLITS:
        table, summary = (results / f"{split}.{kind}" for kind in ("csv", "json"))
        if table.is_file():
            dice[split] = _read_dice(table)
        if summary.is_file():
            told = json.loads(summary.read_text())
            protocol[split] = f"{told.get('protocol')}, threshold {told.get('threshold')}"
    if not dice:
        raise UserError(
            f"{name}: {folder} has no results/val.csv or test.csv; expected the workdir of a "
            "finished run, or a folder that the command evaluate wrote."
        )
    return Result(name, seed, folder, dice, protocol, _parameters(folder), _minutes(folder))


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

    `loss`, both tasks' losses added without weights, so that balancers can be compared; and, at
    each validation, `val_rv_dice` and `val_faz_dice`. Empty without metrics.jsonl.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in _rows(folder):
        values = {name: row[name] for name in ("val_rv_dice", "val_faz_dice") if name in row}
        if "loss_rv" in row:
            values["loss"] = row["loss_rv"] + row["loss_faz"]
        for name, value in values.items():
            curves.setdefault(name, []).append((row["step"], value))
    return {name: np.array(points) for name, points in curves.items()}


def _rows(folder: Path) -> list[dict]:
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def _minutes(folder: Path) -> float | None:
    """Training steps times images over the median speed."""
    config, rows = folder / "config.json", _rows(folder)
    speeds = [row["images_per_second"] for row in rows if row.get("images_per_second")]
    if not speeds or not config.is_file():
        return None
    images = rows[-1]["step"] * json.loads(config.read_text())["train"]["batch_size"]
    return images / statistics.median(speeds) / 60


def _parameters(folder: Path) -> int | None:
    path = folder / "weights.safetensors"
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            names = [name for name in file.keys() if name.startswith("params/")]
            return sum(int(np.prod(file.get_slice(name).get_shape())) for name in names)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no readable safetensors file: {error}.") from error


def _read_dice(path: Path) -> Dice:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    dice: Dice = {}
    for task in TASKS:
        try:
            cells = {row["id"]: row[f"{task}_dice"] for row in rows}
            values = {case: float(cell) for case, cell in cells.items() if cell}
        except (KeyError, ValueError) as error:
            raise UserError(
                f"{path}: expected the columns id and {task}_dice with numbers or nothing."
            ) from error
        if values:
            dice[task] = values
    return dice
