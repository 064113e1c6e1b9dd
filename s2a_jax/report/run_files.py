"""The files of a run or an evaluation, read and checked for the report.

Whatever cannot be read, or does not have the shape that the report needs, is left out with a note.
"""

import base64
import csv
import dataclasses
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from s2a_jax.errors import UserError
from s2a_jax.evaluation.labels import TASK_LABELS
from s2a_jax.report.shapes import CONFIG, ENVIRONMENT, RESULT, is_finite, is_number, misfit
from s2a_jax.runs.files import count_parameters, read_object
from s2a_jax.runs.metrics import read_metrics

_Content = TypeVar("_Content")


@dataclasses.dataclass
class RunFiles:
    """The files of a workdir, or of the folder of one evaluation.

    Attributes:
        path: the folder.
        config: config.json; empty for an evaluation.
        defaults: defaults.json, or None without it.
        is_run: whether it is a workdir; an evaluation has its results in `path` itself, and nothing
            else.
        environment: environment.json, or None without it.
        training: rows of metrics.jsonl with a loss, in the order of steps.
        validation: rows of metrics.jsonl with a validation score.
        results: split -> results/<split>.json. Without its `metrics`, these are the means and
            standard deviations of results/<split>.csv.
        cases: split -> rows of results/<split>.csv, column -> text.
        overlays: pictures in overlays/.
        checkpoints: steps of the checkpoints, ascending.
        parameters: number of parameters in weights.safetensors, or None without it.
        notes: sentences about what was left out.
    """

    path: Path
    config: dict[str, Any]
    is_run: bool = True
    defaults: dict[str, Any] | None = None
    environment: dict[str, Any] | None = None
    training: list[dict[str, float]] = dataclasses.field(default_factory=list)
    validation: list[dict[str, float]] = dataclasses.field(default_factory=list)
    results: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    cases: dict[str, list[dict[str, str]]] = dataclasses.field(default_factory=dict)
    overlays: list[Path] = dataclasses.field(default_factory=list)
    checkpoints: list[int] = dataclasses.field(default_factory=list)
    parameters: int | None = None
    notes: list[str] = dataclasses.field(default_factory=list)

    def results_folder(self) -> Path:
        """Folder of <split>.json and its companions."""
        return self.path / "results" if self.is_run else self.path

    def results_name(self, file: str) -> str:
        """Name of a file of the results as shown in messages."""
        return f"results/{file}" if self.is_run else file


def read_run(workdir: Path) -> RunFiles:
    """Reads every file that the report shows.

    Raises:
        UserError: `workdir` is not the folder of a run or an evaluation, or its config.json is
            broken.
    """
    if not workdir.is_dir():
        what = "is a file" if workdir.exists() else "does not exist"
        raise UserError(f"--workdir={workdir} {what}; give the folder of a run.")
    file = workdir / "config.json"
    if not file.is_file():
        run = RunFiles(workdir, config={}, is_run=False)
        _read_results(run)
        if not run.results:
            raise UserError(
                f"No run in {workdir}: it has neither config.json nor the <split>.json of an "
                "evaluation. Give the folder of a run, or the folder that evaluate wrote (--out)."
            )
        return run
    run = RunFiles(workdir, config=_read_config(file))
    if (file := workdir / "defaults.json").is_file():
        run.defaults = _noted(run, read_object, file)
    if (file := workdir / "environment.json").is_file():
        environment = _noted(run, read_object, file)
        run.environment = environment and _checked(run, file, environment, ENVIRONMENT)
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
    """Encodes a picture as a data URI.

    Returns:
        The URI; None, with a note, if the picture is missing, broken or outside the run's folder.
    """
    name = _name(run, path)
    try:
        real, folder = (Path(os.path.realpath(name)) for name in (path, run.path))
        content = path.read_bytes() if real.is_relative_to(folder) else None
    except (OSError, ValueError) as error:  # ValueError: no file can have that name
        run.notes.append(f"The picture {name} could not be read ({error}) and was left out.")
        return None
    if content is None:
        run.notes.append(f"The picture {name} lies outside the run's folder and was left out.")
        return None
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            image.load()
    except Exception as error:  # damaged pictures make Pillow raise almost anything
        run.notes.append(f"The picture {name} could not be read ({error}) and was left out.")
        return None
    return f"data:{Image.MIME[image.format]};base64,{base64.b64encode(content).decode()}"


def column_values(rows: list[dict[str, str]], column: str) -> list[float]:
    """Finite numbers in a column of a CSV file; a cell is empty where a case has no value."""
    values = []
    for row in rows:
        try:
            values.append(float(row.get(column, "")))
        except ValueError:
            continue  # empty, or text such as the laterality
    return [value for value in values if is_finite(value)]


def _noted(run: RunFiles, read: Callable[[Path], _Content], file: Path) -> _Content | None:
    """Reads a file; None, with a note, if it cannot be read."""
    try:
        return read(file)
    except ValueError as error:
        run.notes.append(f"{_name(run, file)} {error} and was left out.")
        return None


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = read_object(file)
    except ValueError as error:
        raise UserError(f"{file} is broken: it {error}. Put back a copy of it.") from error
    if found := misfit(config, CONFIG, "config"):
        raise UserError(f"{file} is broken: {found}. Put back a copy of it.")
    return config


def _checked(
    run: RunFiles, file: Path, content: dict[str, Any], shapes: dict[str, Any]
) -> dict[str, Any]:
    """Leaves out the fields of a JSON object that do not have their shape, each with a note."""
    damage = {
        name: found
        for name, shape in shapes.items()
        if name in content and (found := misfit(content[name], shape, name)) is not None
    }
    for name, found in damage.items():
        run.notes.append(f"{_name(run, file)} is damaged: {found}. The field {name} was left out.")
    return {name: value for name, value in content.items() if name not in damage}


def _read_metrics(run: RunFiles, file: Path) -> None:
    metrics = _noted(run, read_metrics, file)
    if metrics is None:
        return
    rows = [
        row for row in metrics.rows if all(map(is_number, row.values())) and is_finite(row["step"])
    ]
    for row in rows:
        (run.validation if "val_score" in row else run.training).append(row)
    if broken := len(metrics.rows) - len(rows) + len(metrics.broken) + metrics.is_cut:
        run.notes.append(
            f"Rows of metrics.jsonl that could not be read and were left out: {broken}."
        )


def _read_results(run: RunFiles) -> None:
    folder = run.results_folder()
    for file in sorted(folder.glob("*.json")):
        result = _noted(run, read_object, file)
        if result is not None and "metrics" in result:  # other JSON files may lie there
            run.results[file.stem] = _checked(run, file, result, RESULT)
    for file in sorted(folder.glob("*.csv")):
        if run.is_run or file.stem in run.results:  # beside an evaluation, any table may lie
            _read_cases(run, file)
    for split in sorted(run.results.keys() | run.cases.keys()):
        result = run.results.setdefault(split, {"split": split})
        if "metrics" in result:
            continue
        result["metrics"] = _means(run.cases[split]) if split in run.cases else {}
        if result["metrics"]:
            table, summary = (run.results_name(f"{split}.{kind}") for kind in ("csv", "json"))
            run.notes.append(
                f"The means on {split} are computed from {table}, without intervals, because there "
                f"are no metrics in {summary}. main.py --mode=evaluate writes both files."
            )


def _read_cases(run: RunFiles, file: Path) -> None:
    """Reads a CSV file with a column `id`; cells without a column are dropped."""
    try:
        with file.open(newline="", encoding="utf-8", errors="replace") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, csv.Error) as error:
        run.notes.append(f"{_name(run, file)} could not be read ({error}) and was left out.")
        return
    if rows and "id" in rows[0]:
        columns = [name for name in rows[0] if name]
        run.cases[file.stem] = [{name: row[name] or "" for name in columns} for row in rows]


def _means(rows: list[dict[str, str]]) -> dict[str, dict[str, dict[str, float]]]:
    """Computes means and standard deviations of all columns `<task>_<metric>`.

    Returns:
        Task -> metric -> `mean`, `sd`, `cases`, as in results/<split>.json.
    """
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for column in rows[0]:
        task = max((t for t in TASK_LABELS if column.startswith(f"{t}_")), key=len, default=None)
        if task is not None and (values := column_values(rows, column)):
            metrics.setdefault(task, {})[column.removeprefix(f"{task}_")] = {
                "mean": float(np.mean(values)),
                "sd": float(np.std(values)),
                "cases": len(values),
            }
    return metrics


def _name(run: RunFiles, path: Path) -> str:
    """Name of a file as shown in messages."""
    return str(path.relative_to(run.path)) if path.is_relative_to(run.path) else str(path)
