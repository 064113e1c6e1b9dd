"""What a run has left in its folder, read for the report; what cannot be read is noted."""

import base64
import csv
import dataclasses
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from s2a_jax.errors import UserError
from s2a_jax.report.labels import TASKS
from s2a_jax.runs.files import count_parameters, read_object
from s2a_jax.runs.metrics import read_metrics

_Content = TypeVar("_Content")


@dataclasses.dataclass
class RunFiles:
    """The files of one workdir, or of the folder of one evaluation.

    Attributes:
        path: the folder.
        config: config.json; empty for an evaluation.
        defaults: defaults.json, or None without one.
        is_run: whether it is a workdir; an evaluation has its results in `path` itself, no more.
        environment: environment.json, or None without one.
        training: rows of metrics.jsonl with a loss, in the order of steps.
        validation: rows of metrics.jsonl with a validation score.
        results: split -> results/<split>.json; or what results/<split>.csv tells, if only that is
            there: its `metrics` then have means and deviations alone.
        cases: split -> rows of results/<split>.csv.
        overlays: pictures in overlays/.
        checkpoints: steps that checkpoints/ holds, ascending.
        parameters: number of parameters in weights.safetensors, or None without it.
        notes: sentences about files that could not be read.
    """

    path: Path
    config: dict[str, Any]
    is_run: bool = True
    defaults: dict[str, Any] | None = None
    environment: dict[str, Any] | None = None
    training: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    validation: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    results: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    cases: dict[str, list[dict[str, str]]] = dataclasses.field(default_factory=dict)
    overlays: list[Path] = dataclasses.field(default_factory=list)
    checkpoints: list[int] = dataclasses.field(default_factory=list)
    parameters: int | None = None
    notes: list[str] = dataclasses.field(default_factory=list)

    def results_folder(self) -> Path:
        """Where <split>.json and what belongs to it lies."""
        return self.path / "results" if self.is_run else self.path

    def results_name(self, file: str) -> str:
        """How to call a file of the results, for messages."""
        return f"results/{file}" if self.is_run else file


def read_run(workdir: Path) -> RunFiles:
    """Reads everything that is there.

    Raises:
        UserError: `workdir` is no folder of a run or an evaluation, or its config.json is broken.
    """
    if not workdir.is_dir():
        what = "a file" if workdir.exists() else "not there"
        raise UserError(f"--workdir={workdir} is {what}; give the folder of a run.")
    file = workdir / "config.json"
    run = RunFiles(workdir, config={})
    if not file.is_file():
        run.is_run = False
        _read_results(run)
        if not run.results:
            raise UserError(
                f"No run in {workdir}: it has no config.json, and no evaluation's <split>.json "
                "either. Give the folder of a run, or what was given to evaluate as --out."
            )
        return run
    try:
        run.config = read_object(file)
    except ValueError as error:
        raise UserError(
            f"{file} is broken: expected one JSON object, as a run writes it."
        ) from error
    if (file := workdir / "defaults.json").is_file():
        run.defaults = _noted(run, read_object, file)
    if (file := workdir / "environment.json").is_file():
        run.environment = _noted(run, read_object, file)
    if (file := workdir / "metrics.jsonl").is_file():
        _read_metrics(run, file)
    _read_results(run)
    steps = (path.name for path in (workdir / "checkpoints").glob("*"))
    run.checkpoints = sorted(int(name) for name in steps if name.isdecimal())
    run.overlays = sorted((workdir / "overlays").glob("*.png"))
    if (file := workdir / "weights.safetensors").is_file():
        run.parameters = _noted(run, count_parameters, file)
    return run


def embed(run: RunFiles, path: Path) -> str | None:
    """A picture as a data URI; None, with a note, if it is missing, broken or outside the run."""
    name = _name(run, path)
    if not path.resolve().is_relative_to(run.path.resolve()):
        run.notes.append(f"The picture {name} lies outside the run's folder and was left out.")
        return None
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            image.load()
            kind = Image.MIME[image.format]
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's ways to say "broken"
        run.notes.append(f"The picture {name} could not be read ({error}).")
        return None
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _noted(run: RunFiles, read: Callable[[Path], _Content], file: Path) -> _Content | None:
    """What `read` makes of a file; None, with a note, if it cannot."""
    try:
        return read(file)
    except ValueError as error:
        run.notes.append(f"{_name(run, file)} {error} and was left out.")
        return None


def _read_metrics(run: RunFiles, file: Path) -> None:
    metrics = _noted(run, read_metrics, file)
    if metrics is None:
        return
    for row in metrics.rows:
        (run.validation if "val_score" in row else run.training).append(row)
    if broken := len(metrics.broken) + metrics.is_cut:
        run.notes.append(f"Rows of metrics.jsonl that could not be read, left out: {broken}.")


def _read_results(run: RunFiles) -> None:
    folder = run.results_folder()
    for file in sorted(folder.glob("*.csv")):
        with file.open(newline="", errors="replace") as lines:
            rows = list(csv.DictReader(lines))
        if rows and "id" in rows[0]:
            run.cases[file.stem] = rows
    for file in sorted(folder.glob("*.json")):
        result = _noted(run, read_object, file)
        if result is not None and isinstance(result.get("metrics"), dict):
            run.results[file.stem] = result
    if not run.is_run:  # any table may lie there
        run.cases = {split: rows for split, rows in run.cases.items() if split in run.results}
    for split in run.cases.keys() - run.results.keys():
        run.results[split] = {"split": split, "metrics": _means(run.cases[split])}
        run.notes.append(
            f"{split}: there is no results/{split}.json; means are those of results/{split}.csv, "
            "without intervals and curves. main.py --mode=evaluate writes both."
        )


def _means(rows: list[dict[str, str]]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and deviation of every column `<task>_<metric>`, laid out as results/<split>.json."""
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for column in rows[0]:
        task = max((t for t in TASKS if str(column).startswith(f"{t}_")), key=len, default=None)
        values = column_values(rows, column)
        if task is not None and values:
            metrics.setdefault(task, {})[column.removeprefix(f"{task}_")] = {
                "mean": float(np.mean(values)),
                "sd": float(np.std(values)),
                "cases": len(values),
            }
    return metrics


def column_values(rows: list[dict[str, str]], column: str) -> list[float]:
    """The finite numbers of a CSV column; empty cells are cases without that mask."""
    values = []
    for row in rows:
        try:
            value = float(row.get(column) or "nan")
        except ValueError:
            continue  # text, such as the laterality
        if math.isfinite(value):
            values.append(value)
    return values


def _name(run: RunFiles, path: Path) -> str:
    return str(path.relative_to(run.path)) if path.is_relative_to(run.path) else str(path)
