"""Parts of the report that every run has: training curves, configuration, environment."""

import json
import math
from collections.abc import Mapping
from typing import Any

from s2a_jax.report import figures, labels
from s2a_jax.report.run_files import RunFiles


def training(run: RunFiles) -> dict[str, Any]:
    """Curves over the steps.

    Returns:
        `figures` (list of `title`, `svg`, `caption`), `best` (`step`, `score`) or None, `progress`
        (`value`, `detail`) or None, `sources` (name -> share of the cases seen), `missing`
        (sentences), `notes` (sentences that belong to the top of the report).
    """
    rows, validation = run.training, run.validation
    part: dict[str, Any] = {
        "figures": [], "best": None, "progress": None, "sources": {}, "missing": [], "notes": [],
    }  # fmt: skip
    if not rows:
        part["missing"].append("metrics.jsonl has no training step yet.")
    if not run.checkpoints:
        part["missing"].append("There is no checkpoint.")
    if not validation:
        part["missing"].append("The network has not been validated yet.")
    # As the checkpoints choose it: of equal scores the newest.
    best = max(validation, key=lambda row: (_finite(row["val_score"]), row["step"]), default=None)
    if best is not None:
        part["best"] = {"step": best["step"], "score": best["val_score"]}
    part["figures"] = [*_loss_figures(rows), *_validation_figure(validation, part["best"])]
    part["figures"] += _other_figures(rows)
    counts: dict[str, float] = {}
    for row in rows:
        for name in row:
            if name.startswith("cases_"):
                key = name.removeprefix("cases_")
                counts[key] = counts.get(key, 0) + row[name]
    total = sum(counts.values())
    part["sources"] = {name: f"{count / total:.1%}" for name, count in counts.items() if total}
    part["progress"] = _progress(run, part["notes"])
    is_finished = not part["notes"]
    if is_finished and len(validation) > 2 and best is validation[-1]:
        part["notes"].append(
            "The last validation gave the best score: a longer training may give a better network."
        )
    return part


def _finite(value: Any) -> float:
    return value if isinstance(value, int | float) and math.isfinite(value) else -math.inf


def _series(rows: list[dict[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Steps and values, NaN where a row has none; both empty where no row has any."""
    values = [row[name] if _finite(row.get(name)) > -math.inf else math.nan for row in rows]
    if all(map(math.isnan, values)):
        return [], []
    return [row["step"] for row in rows], values


def _loss_figures(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    lines = {}
    names = (("loss", "total", None), ("loss_rv", "RV", "rv"), ("loss_faz", "FAZ", "faz"))
    for name, label, task in names:
        steps, values = _series(rows, name)
        if steps:
            lines[label] = (figures.COLOURS[task], steps, values)
    if not lines:
        return []
    smooth = max(len(values) for _, _, values in lines.values()) >= 80
    caption = "Total, and of each task."
    if smooth:
        caption += " Thick lines are running means over a fortieth of the rows."
    if any(math.isnan(value) for _, _, values in lines.values() for value in values):
        caption += " Gaps: batches of which no case has a mask of that task."
    svg = figures.curve("Losses", "loss", lines, smooth=smooth)
    return [{"title": "Losses", "svg": svg, "caption": caption}]


def _validation_figure(rows: list[dict[str, Any]], best: dict | None) -> list[dict[str, str]]:
    lines = {}
    for task, label in labels.TASKS.items():
        steps, values = _series(rows, f"val_{task}_dice")
        if steps:
            lines[label] = (figures.COLOURS[task], steps, values)
    if not lines:
        return []
    svg = figures.curve("Validation Dice", "mean Dice", lines, best=best["step"])
    caption = "Mean over the cases. The best step has the highest sum over the tasks."
    return [{"title": "Validation Dice", "svg": svg, "caption": caption}]


def _other_figures(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Alpha, learning rate, gradient and speed, each where the rows have it."""
    drawn = []
    for name, title, label, log, caption in (
        ("alpha", "Alpha", "alpha", False, "Weight of the vessels' loss; 1 − alpha is the FAZ's."),
        ("learning_rate", "Learning rate", "learning rate", False, ""),
        ("grad_norm", "Gradient", "norm", True, "Its norm, before clipping."),
        ("images_per_second", "Speed", "images / s", False, "Without compilation."),
    ):
        steps, values = _series(rows, name)
        if steps:
            line = {label: (figures.COLOURS[None], steps, values)}
            log = log and all(value > 0 for value in values if not math.isnan(value))
            svg = figures.curve(title, label, line, smooth=name == "grad_norm", log=log)
            drawn.append({"title": title, "svg": svg, "caption": caption})
    return drawn


def _progress(run: RunFiles, notes: list[str]) -> dict[str, str] | None:
    steps = [row["step"] for row in (*run.training, *run.validation)]
    if not steps:
        return None
    wanted = run.config.get("train", {}).get("epochs")
    reached = max((row["epoch"] + 1 for row in run.training if "epoch" in row), default=None)
    detail = f"{max(steps):g} steps"
    if wanted is None or reached is None:
        return {"value": detail, "detail": "epochs not noted"}
    # The last step is validated, too; a run may have been stopped a little before.
    last = max((row["step"] for row in run.validation), default=0)
    if reached < wanted or last < max(steps):
        entries = _entries(run)
        state = ""
        if entries and not entries[-1].get("ended"):
            state = " It is still running, or was killed."
        notes.append(
            f"Training is not finished: epoch {reached} of {wanted} is the last one logged.{state} "
            + (
                "The command that started it goes on from the checkpoint of step "
                f"{run.checkpoints[-1]}."
                if run.checkpoints
                else "There is no checkpoint: the command that started it begins anew."
            )
        )
    return {"value": f"{min(reached, wanted)} of {wanted} epochs", "detail": detail}


def config_fields(config: Mapping[str, Any], defaults: Mapping[str, Any] | None) -> dict[str, Any]:
    """The configuration, what was chosen first.

    Returns:
        `chosen` (list of `name`, `value`, `default`), `known` (whether defaults were given),
        `sections` (list of `name`, `fields`: of `name`, `value`, `changed`).
    """
    ours = _flat(config)
    theirs = ours if defaults is None else _flat(defaults)
    changed = [name for name in ours if not _is_same(ours[name], theirs.get(name))]
    chosen = [
        {
            "name": name,
            "value": labels.value(ours[name]),
            "default": labels.value(theirs[name]) if name in theirs else "no such field",
        }
        for name in changed
    ]
    sections: dict[str, list] = {}
    for name in sorted(ours):
        section = name.partition(".")[0] if "." in name else ""
        field = {"name": name, "value": labels.value(ours[name]), "changed": name in changed}
        sections.setdefault(section, []).append(field)
    listed = [{"name": name or "general", "fields": fields} for name, fields in sections.items()]
    return {"chosen": chosen, "known": defaults is not None, "sections": listed}


def _is_same(ours: Any, theirs: Any) -> bool:
    """Whether a field has its default's value; None leaves it to the variant's recipe."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_is_same, ours, theirs))
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return math.isclose(ours, theirs, rel_tol=1e-9)
    return ours is None or ours == theirs


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Full names of fields; tuples become lists, as they do in config.json."""
    flat = {}
    for name, content in tree.items():
        if isinstance(content, Mapping):
            flat |= _flat(content, f"{prefix}{name}.")
        else:
            flat[prefix + name] = json.loads(json.dumps(content))
    return flat


def machine(run: RunFiles) -> dict[str, Any]:
    """Where and when the run was computed.

    Returns:
        `rows` (list of `name`, `value`), `sessions` (list of `started`, `ended`, `time`, `failed`:
        a message or None, and `command`), `duration` (`value`, `detail`) or None, `failed` (the
        message of the newest session, or None), `notes` (sentences for the top of the report).
    """
    part: dict[str, Any] = {
        "rows": [], "sessions": [], "duration": None, "failed": None, "notes": [],
    }  # fmt: skip
    entries = _entries(run)
    if not entries:
        return part
    first, *resumed = entries
    spent = []
    for entry in entries:
        spent.append(labels.seconds_between(entry.get("started"), entry.get("ended")))
        part["sessions"].append(
            {
                "started": labels.moment(entry.get("started") or "unknown"),
                "ended": labels.moment(entry.get("ended") or "not yet, or killed"),
                "time": "unknown" if spent[-1] is None else labels.duration(spent[-1]),
                "failed": entry.get("failed"),
                "command": " ".join(map(str, entry.get("command") or ())),
            }
        )
    part["failed"] = part["sessions"][-1]["failed"]
    if known := [seconds for seconds in spent if seconds is not None]:
        unknown = len(spent) - len(known)
        detail = f"training, in {len(spent)} parts" if resumed else "training and validation"
        part["duration"] = {
            "value": labels.duration(sum(known)),
            "detail": f"{detail}; {unknown} of unknown length" if unknown else detail,
        }
    commits = {str(entry.get("commit")) for entry in entries}
    if len(commits) > 1:
        part["notes"].append("The run went on with another commit than it was started with.")
    if any(entry.get("uncommitted_changes") for entry in entries):
        part["notes"].append("The code had changes that no commit holds.")
    part["rows"] = [
        {"name": name, "value": text} for name, text in _machine_rows(first) if text != ""
    ]
    return part


def _entries(run: RunFiles) -> list[Mapping[str, Any]]:
    """What environment.json tells of each session, the first one first."""
    if run.environment is None:
        return []
    resumed = run.environment.get("resumed") or []
    return [run.environment, *(entry for entry in resumed if isinstance(entry, Mapping))]


def _machine_rows(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    devices = ", ".join(
        f"{device.get('count')} × {device.get('kind')} ({device.get('platform')})"
        for device in entry.get("devices") or ()
    )
    hardware = entry.get("hardware") or {}
    memory = hardware.get("memory_gib")
    commit = entry.get("commit") or "none: not run from a git checkout"
    if entry.get("uncommitted_changes"):
        commit += ", with changes that no commit holds"
    return [
        ("Commit", str(commit)),
        ("Devices", devices),
        ("Processes", str(entry.get("processes") or "")),
        ("Processor", str(hardware.get("processor") or "")),
        ("Cores", str(hardware.get("cores") or "")),
        ("Memory", "" if memory is None else f"{memory} GiB"),
        ("System", str(hardware.get("system") or "")),
        *((str(name), str(text)) for name, text in (entry.get("versions") or {}).items()),
    ]
