"""What a run has left in its folder, read for the report; what cannot be read is noted."""

import base64
import csv
import dataclasses
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open

from s2a_jax.analysis.labels import TASKS
from s2a_jax.errors import UserError


@dataclasses.dataclass
class RunFiles:
    """The files of one workdir.

    Attributes:
        path: the workdir.
        config: config.json.
        environment: environment.json, or None without one.
        training: rows of metrics.jsonl with a loss, in the order of steps.
        validation: rows of metrics.jsonl with a validation score.
        results: split -> results/<split>.json; or what results/<split>.csv tells, if only that is
            there: its `metrics` then have means and deviations alone.
        cases: split -> rows of results/<split>.csv.
        overlays: pictures in overlays/.
        parameters: number of parameters in weights.safetensors, or None without it.
        notes: sentences about files that could not be read.
    """

    path: Path
    config: dict[str, Any]
    environment: dict[str, Any] | None = None
    training: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    validation: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    results: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    cases: dict[str, list[dict[str, str]]] = dataclasses.field(default_factory=dict)
    overlays: list[Path] = dataclasses.field(default_factory=list)
    parameters: int | None = None
    notes: list[str] = dataclasses.field(default_factory=list)


def read_run(workdir: Path) -> RunFiles:
    """Reads everything that is there.

    Raises:
        UserError: `workdir` is no folder of a run, or its config.json is broken.
    """
    if not workdir.is_dir():
        what = "a file" if workdir.exists() else "not there"
        raise UserError(f"--workdir={workdir} is {what}; give the folder of a run.")
    file = workdir / "config.json"
    if not file.is_file():
        raise UserError(f"No run in {workdir}: it has no config.json. Train one first.")
    run = RunFiles(workdir, config={})
    config = _read_object(run, file)
    if config is None:
        raise UserError(f"{file} is broken: expected one JSON object, as a run writes it.")
    run.config = config
    if (file := workdir / "environment.json").is_file():
        run.environment = _read_object(run, file)
    _read_metrics(run, workdir / "metrics.jsonl")
    _read_results(run, workdir / "results")
    run.overlays = sorted((workdir / "overlays").glob("*.png"))
    if (file := workdir / "weights.safetensors").is_file():
        run.parameters = _count_parameters(run, file)
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


def _read_object(run: RunFiles, file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        run.notes.append(f"{_name(run, file)} could not be read ({error}).")
        return None
    if not isinstance(content, dict):
        run.notes.append(f"{_name(run, file)} holds no JSON object and was left out.")
        return None
    return content


def _read_metrics(run: RunFiles, file: Path) -> None:
    if not file.is_file():
        return
    broken = 0
    for line in file.read_text(errors="replace").splitlines():
        try:
            row = json.loads(line)
            row["step"] + 0
        except (ValueError, KeyError, TypeError):
            broken += 1
            continue
        (run.validation if "val_score" in row else run.training).append(row)
    if broken:
        run.notes.append(f"Rows of metrics.jsonl that could not be read, left out: {broken}.")


def _read_results(run: RunFiles, folder: Path) -> None:
    for file in sorted(folder.glob("*.csv")):
        with file.open(newline="", errors="replace") as lines:
            rows = list(csv.DictReader(lines))
        if rows and "id" in rows[0]:
            run.cases[file.stem] = rows
    for file in sorted(folder.glob("*.json")):
        result = _read_object(run, file)
        if result is not None and isinstance(result.get("metrics"), dict):
            run.results[file.stem] = result
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


def _count_parameters(run: RunFiles, file: Path) -> int | None:
    try:
        with safe_open(file, framework="np") as weights:
            names = [name for name in weights.keys() if name.startswith("params/")]
            return sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
    except (OSError, SafetensorError) as error:
        run.notes.append(f"{_name(run, file)} could not be read ({error}).")
        return None


def _name(run: RunFiles, path: Path) -> str:
    return str(path.relative_to(run.path)) if path.is_relative_to(run.path) else str(path)
