"""The sections on the run itself: training curves, configuration, environment."""

import math
from collections.abc import Mapping
from typing import Any

from s2a_jax.config.values import flatten
from s2a_jax.evaluation.labels import TASK_LABELS
from s2a_jax.report import figures, labels
from s2a_jax.report.run_files import RunFiles
from s2a_jax.report.shapes import is_finite

Rows = list[dict[str, float]]
"""Rows of metrics.jsonl."""


def training_section(run: RunFiles) -> dict[str, Any]:
    """Makes the section on the training curves.

    Returns:
        `figures` (list of `title`, `svg`, `caption`), `best` (`step` and `score` of the best
        validation, or None), `chosen` (`step`, `name` and `reason` of the checkpoint that the run
        evaluates, or None), `progress` (`value`, `detail`, or None), `sources` (name -> share of
        the cases seen), `missing` (sentences), `notes` (sentences for the top of the report).
    """
    rows, validation = run.training, run.validation
    missing = []
    if not rows:
        missing.append("metrics.jsonl has no training step yet.")
    if not run.checkpoints:
        missing.append("There is no checkpoint.")
    if not validation:
        missing.append("The network has not been validated yet.")
    # The checkpoints' rule: of equal scores, the newest is the best.
    best_row = max(validation, key=lambda row: (_score(row), row["step"]), default=None)
    best = None
    if best_row is not None:
        best = {"step": best_row["step"], "score": best_row["val_score"]}
    chosen = best and best | {
        "name": "best network on validation", "reason": "has the best validation score"
    }  # fmt: skip
    if chosen and (run.config.get("eval") or {}).get("choose") == "last":
        chosen = {
            "step": validation[-1]["step"], "name": "network of the last step",
            "reason": "is the last one",
        }  # fmt: skip
    progress, unfinished = _progress(run)
    notes = [] if unfinished is None else [unfinished]
    if not notes and len(validation) > 2 and best_row is validation[-1]:
        notes.append(
            "The last validation has the best score: longer training may improve the network."
        )
    return {
        "figures": [
            *_loss_figures(rows),
            *_validation_figures(validation, best),
            *_other_figures(rows),
        ],
        "best": best,
        "chosen": chosen,
        "progress": progress,
        "sources": _shares(rows),
        "missing": missing,
        "notes": notes,
    }


def _score(row: Mapping[str, float]) -> float:
    return row["val_score"] if is_finite(row["val_score"]) else -math.inf


def _shares(rows: Rows) -> dict[str, str]:
    """Share of each source among the training cases seen."""
    counts: dict[str, float] = {}
    for row in rows:
        for name in row:
            if name.startswith("cases_"):
                source = name.removeprefix("cases_")
                counts[source] = counts.get(source, 0) + row[name]
    total = sum(counts.values())
    return {name: f"{count / total:.1%}" for name, count in counts.items() if total}


def _series(rows: Rows, name: str) -> tuple[list[float], list[float]]:
    """Steps and values, NaN where a row has none; both empty where no row has any."""
    values = [row[name] if is_finite(row.get(name)) else math.nan for row in rows]
    if all(map(math.isnan, values)):
        return [], []
    return [row["step"] for row in rows], values


def _loss_figures(rows: Rows) -> list[dict[str, str]]:
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
        caption += " Gaps: batches in which no case has a mask of that task."
    svg = figures.curve("Losses", "loss", lines, smooth=smooth)
    return [{"title": "Losses", "svg": svg, "caption": caption}]


def _validation_figures(rows: Rows, best: dict[str, float] | None) -> list[dict[str, str]]:
    lines = {}
    for task, label in TASK_LABELS.items():
        steps, values = _series(rows, f"val_{task}_dice")
        if steps:
            lines[label] = (figures.COLOURS[task], steps, values)
    if not lines or best is None:
        return []
    svg = figures.curve("Validation Dice", "mean Dice", lines, best=best["step"])
    caption = "Mean over the cases. The best step has the highest mean over all masks."
    return [{"title": "Validation Dice", "svg": svg, "caption": caption}]


def _other_figures(rows: Rows) -> list[dict[str, str]]:
    """Draws alpha, learning rate, gradient norm and speed, each where the rows have it."""
    drawn = []
    for name, title, label, log, caption in (
        (
            "alpha",
            "Alpha",
            "alpha",
            False,
            "Weight of the vessel loss; the FAZ loss has 1 − alpha.",
        ),
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


def _progress(run: RunFiles) -> tuple[dict[str, str] | None, str | None]:
    """Finds out how far training came.

    Returns:
        `value` and `detail` of a tile, or None before the first step; and the sentences of a note
        if training is not finished, or None.
    """
    steps = [row["step"] for row in (*run.training, *run.validation)]
    if not steps:
        return None, None
    wanted = (run.config.get("train") or {}).get("epochs")
    reached = max((row["epoch"] + 1 for row in run.training if "epoch" in row), default=None)
    detail = f"{max(steps):g} steps"
    if wanted is None or reached is None:
        return {"value": detail, "detail": "epochs unknown"}, None
    tile = {"value": f"{min(reached, wanted)} of {wanted} epochs", "detail": detail}
    # The last step is validated, too; a run may have been stopped a little before.
    last = max((row["step"] for row in run.validation), default=0)
    if reached >= wanted and last >= max(steps):
        return tile, None
    note = f"Training is not finished: the last logged epoch is epoch {reached} of {wanted}."
    sessions = _sessions(run)
    if sessions and not sessions[-1].get("ended"):
        note += " The run is still in progress, or was killed."
    if run.checkpoints:
        note += f" The same command resumes it from the checkpoint of step {run.checkpoints[-1]}."
    else:
        note += " There is no checkpoint: the same command starts it from the beginning."
    return tile, note


def config_section(config: Mapping[str, Any], defaults: Mapping[str, Any] | None) -> dict[str, Any]:
    """Makes the section on the configuration.

    Args:
        config: the run's configuration.
        defaults: the defaults of its network and variant, or None if they are not known.

    Returns:
        `chosen` (list of `name`, `value`, `default`: the fields that differ from the defaults),
        `known` (whether `defaults` were given), `sections` (list of `name`, `fields`: of `name`,
        `value`, `changed`).
    """
    ours = flatten(config)
    theirs = ours if defaults is None else flatten(defaults)
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
    """Whether a field has its default's value; None leaves the field to the variant's recipe."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_is_same, ours, theirs))
    if is_finite(ours) and is_finite(theirs):
        return math.isclose(ours, theirs, rel_tol=1e-9)
    return ours is None or ours == theirs


def environment_section(run: RunFiles) -> dict[str, Any]:
    """Makes the section on where and when the run was computed.

    Returns:
        `rows` (list of `name`, `value`), `sessions` (list of `started`, `ended`, `time`, `failed`:
        a message or None, and `command`), `duration` (`value`, `detail`, or None), `failed` (the
        message of the newest session, or None), `notes` (sentences for the top of the report).
    """
    sessions = _sessions(run)
    if not sessions:
        return {"rows": [], "sessions": [], "duration": None, "failed": None, "notes": []}
    times = [labels.seconds_between(one.get("started"), one.get("ended")) for one in sessions]
    notes = []
    if len({one.get("commit") for one in sessions}) > 1:
        notes.append("The run was resumed at another commit than it was started at.")
    if any(one.get("uncommitted_changes") for one in sessions):
        notes.append("The code had uncommitted changes.")
    return {
        "rows": [
            {"name": name, "value": text} for name, text in _machine(sessions[0]) if text != ""
        ],
        "sessions": [
            {
                "started": labels.moment(one.get("started") or "unknown"),
                "ended": labels.moment(one.get("ended") or "not yet, or killed"),
                "time": "unknown" if seconds is None else labels.duration(seconds),
                "failed": one.get("failed"),
                "command": " ".join(one.get("command") or ()),
            }
            for one, seconds in zip(sessions, times, strict=True)
        ],
        "duration": _duration(times),
        "failed": sessions[-1].get("failed"),
        "notes": notes,
    }


def _sessions(run: RunFiles) -> list[Mapping[str, Any]]:
    """Entries of environment.json: the first start of the run, and each time it resumed."""
    if run.environment is None:
        return []
    return [run.environment, *(run.environment.get("resumed") or [])]


def _duration(times: list[float | None]) -> dict[str, str] | None:
    known = [seconds for seconds in times if seconds is not None]
    if not known:
        return None
    unknown = len(times) - len(known)
    detail = f"training, in {len(times)} parts" if len(times) > 1 else "training and validation"
    return {
        "value": labels.duration(sum(known)),
        "detail": f"{detail}; {unknown} of unknown length" if unknown else detail,
    }


def _machine(session: Mapping[str, Any]) -> list[tuple[str, str]]:
    devices = ", ".join(
        f"{device['count']} × {device['kind']} ({device['platform']})"
        for device in session.get("devices") or ()
    )
    hardware = session.get("hardware") or {}
    memory = hardware.get("memory_gib")
    commit = session.get("commit") or "none: not run from a git checkout"
    if session.get("uncommitted_changes"):
        commit += ", with uncommitted changes"
    return [
        ("Commit", commit),
        ("Devices", devices),
        ("Processes", str(session.get("processes") or "")),
        ("Processor", hardware.get("processor") or ""),
        ("Cores", str(hardware.get("cores") or "")),
        ("Memory", "" if memory is None else f"{memory} GiB"),
        ("System", hardware.get("system") or ""),
        *(session.get("versions") or {}).items(),
    ]
