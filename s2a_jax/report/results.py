"""The sections on results: tables, curves, cases and biomarkers of each split, and sample cases."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from s2a_jax.evaluation.labels import TASK_LABELS, decimals
from s2a_jax.report import figures, labels
from s2a_jax.report.run_files import RunFiles, column_values, embed

_FEW = 5  # cases; a bootstrap interval of fewer means little
_DIAGRAM = 3  # cases; limits of agreement of fewer show no more than the cases themselves
_CURVES: dict[str, tuple[Callable[..., str], str, str]] = {
    "roc": (figures.roc, "ROC", "Over all pixels."),
    "pr": (figures.precision_recall, "Precision and recall", "Over all pixels."),
    "calibration": (
        figures.reliability,
        "Reliability",
        "On the dotted line, probabilities are frequencies. ECE: expected calibration error. "
        "Larger dots stand for more pixels.",
    ),
}
_PICTURES = {"best": "Best cases", "worst": "Worst cases"}


def split_section(run: RunFiles, split: str) -> dict[str, Any]:
    """Makes the section on results/<split>.json and its companions.

    Returns:
        `name`, `facts` (the settings of the evaluation in words), `notes` (sentences of the
        evaluation), `tasks` (list of `task`, `label` and the `rows` of a table), `window` (its
        definition, or None), `figures`, `table` (`columns` and `rows`, one a case, or None),
        `pictures` (list of `title`, `cases`), `biomarkers` (`rows`, `figures`, `missing`),
        `missing` (sentences).
    """
    result, name = run.results[split], labels.split(split)
    rows = run.cases.get(split, [])
    tables, curves, pictures = _tables(result), _curve_figures(result, name), _pictures(run, result)
    missing = []
    for task in ("rv", "faz"):
        if result["metrics"] and task not in result["metrics"]:
            missing.append(f"No case of this split has a {TASK_LABELS[task]} mask.")
    if not rows:
        missing.append(f"There is no {run.results_name(f'{split}.csv')} with a row for each case.")
    drawn = {part["title"] for part in (*curves, *pictures)}
    missing += [
        f"{title}: the evaluation wrote no such curve."
        for _, title, _ in _CURVES.values()
        if title not in drawn
    ]
    missing += [
        f"{title}: the evaluation drew none." for title in _PICTURES.values() if title not in drawn
    ]
    if few := [f"{table['label']} on {table['counted']}" for table in tables
               if table["counted"] < _FEW]:  # fmt: skip
        run.notes.append(f"Too few cases of {name} for a meaningful interval: {', '.join(few)}.")
    definition = result.get("window_definition")
    return {
        "name": name,
        "facts": _facts(result),
        "notes": result.get("notes") or [],
        "tasks": tables,
        "window": f"Window: {definition}." if definition else None,
        "figures": [*_dice_figure(rows, name), *curves],
        "table": _case_table(rows) if rows else None,
        "pictures": pictures,
        "biomarkers": _biomarkers(result, name),
        "missing": missing,
    }


def sample_section(run: RunFiles, chosen: Mapping[str, Any] | None) -> dict[str, Any]:
    """Makes the section on the validation cases that training draws.

    Training draws them whenever the network is the best so far, and after an evaluation, always at
    `config.eval.threshold` and native size; the results may have another protocol or step.

    Args:
        run: files of the run.
        chosen: `step` and `name` of the network that the run evaluates, or None.

    Returns:
        `cases` (list of `uri`, `name`), `facts` (settings of the drawing in words), `note`
        (sentences if the results on validation use other settings, or None).
    """
    cases = [
        {"uri": uri, "name": path.stem}
        for path in run.overlays
        if (uri := embed(run, path)) is not None
    ]
    step = None if chosen is None else chosen["step"]
    threshold = (run.config.get("eval") or {}).get("threshold")
    result = run.results.get("val", {})
    if result.get("protocol") == "native" and result.get("step") == step:
        threshold = result.get("threshold", threshold)  # the evaluation drew the cases anew
    facts = [] if chosen is None else [chosen["name"]]
    if step is not None:
        facts.append(f"checkpoint of step {labels.value(step)}")
    if threshold is not None:
        facts.append(f"threshold {labels.value(threshold)}")
    pairs = (result.get("step"), step), (result.get("threshold"), threshold)
    agrees = result.get("protocol", "native") == "native" and all(
        None in pair or pair[0] == pair[1] for pair in pairs
    )
    note = None
    if cases and not agrees:
        settings = {name: result.get(name) for name in ("protocol", "threshold", "step")}
        note = (
            f"The results on validation have other settings ({', '.join(_facts(settings))}), so "
            "the Dice of these pictures may differ from theirs. The best and worst cases are drawn "
            "with the settings of the results."
        )
    return {"cases": cases, "facts": facts, "note": note}


def _facts(result: Mapping[str, Any]) -> list[str]:
    """Describes the settings that the numbers depend on."""
    facts = []
    for name, text in (
        ("cases", "{} cases"),
        ("protocol", "protocol {}"),
        ("threshold", "threshold {}"),
        ("step", "checkpoint of step {}"),
    ):
        if name == "threshold" and result.get("protocol") == "otsu":
            facts.append("Otsu's threshold for each image")
        elif name == "cases" and result.get(name) == 1:
            facts.append("1 case")
        elif result.get(name) is not None:
            facts.append(text.format(labels.value(result[name])))
    if result.get("postprocess"):
        facts.append("FAZ also post-processed")
    if result.get("um_per_px") is not None:
        facts.append(f"{labels.number(result['um_per_px'], 2)} µm a pixel")
    return facts


def _tables(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One table of metrics a task; `counted` is its largest number of cases."""
    return [
        {
            "task": task,
            "label": TASK_LABELS.get(task, task),
            "rows": [_metric_row(name, entry) for name, entry in metrics.items()],
            "counted": max((entry.get("cases") or 0 for entry in metrics.values()), default=0),
        }
        for task, metrics in result["metrics"].items()
    ]


def _metric_row(name: str, entry: Mapping[str, float | None]) -> dict[str, str]:
    digits = decimals(name)
    low, high, sd = (entry.get(key) for key in ("low", "high", "sd"))
    if entry.get("cases") == 1:  # a single case has no spread
        low = high = sd = None
    return {
        "name": name,
        "label": labels.metric(name),
        "mean": labels.number(entry.get("mean"), digits),
        "interval": labels.interval(low, high, digits),
        "sd": labels.number(sd, digits),
        "pooled": labels.number(entry.get("pooled"), digits),
        "cases": labels.value(entry.get("cases")),
    }


def _dice_figure(rows: list[dict[str, str]], name: str) -> list[dict[str, str]]:
    values = {task: column_values(rows, f"{task}_dice") for task in TASK_LABELS}
    values = {task: numbers for task, numbers in values.items() if numbers}
    if not values:
        return []
    svg = figures.distribution(values, "Dice", f"Dice of every case of {name}")
    caption = "Every case a dot, from worst to best."
    return [{"title": "Dice by case", "svg": svg, "caption": caption}]


def _case_table(rows: list[dict[str, str]]) -> dict[str, list]:
    return {
        "columns": list(rows[0]),
        "rows": [[_cell(text) for text in row.values()] for row in rows],
    }


def _cell(text: str) -> str:
    """Shortens a cell of a CSV file that is a decimal number."""
    return labels.number(float(text)) if re.fullmatch(r"-?\d*\.\d+|-?\d+\.", text) else text


def _curve_figures(result: Mapping[str, Any], name: str) -> list[dict[str, str]]:
    curves = result.get("curves") or {}
    drawn = []
    for kind, (draw, title, caption) in _CURVES.items():
        data = {
            task: curve
            for task in TASK_LABELS
            if (curve := (curves.get(task) or {}).get(kind)) is not None
        }
        if data:
            svg = draw(data, f"{title}, {name}")
            drawn.append({"title": title, "svg": svg, "caption": caption})
    return drawn


def _pictures(run: RunFiles, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    pictures = result.get("pictures") or {}
    groups = []
    for kind, title in _PICTURES.items():
        paths = [run.results_folder() / relative for relative in pictures.get(kind) or ()]
        cases = [
            {"uri": uri, "name": path.stem}
            for path in paths
            if (uri := embed(run, path)) is not None
        ]
        if cases:
            groups.append({"title": title, "cases": cases})
    return groups


def _biomarkers(result: Mapping[str, Any], name: str) -> dict[str, Any]:
    rows, drawn = [], []
    for biomarker, entry in (result.get("biomarkers") or {}).items():
        low, high, icc = (entry.get(key) for key in ("low", "high", "icc"))
        if entry.get("cases") == 1:  # a single case has no spread
            low = high = icc = None
        rows.append(
            {
                "label": labels.with_unit(biomarker),
                "cases": labels.value(entry.get("cases")),
                "bias": labels.number(entry.get("bias")),
                "limits": labels.interval(low, high),
                "icc": labels.number(icc, 3),
                "agreement": labels.agreement(icc),
            }
        )
        if len(entry["true"]) >= _DIAGRAM and None not in (low, high, entry.get("bias")):
            label, unit = labels.split_unit(biomarker)
            svg = figures.bland_altman(entry, unit, f"{label}, {name}")
            drawn.append({"title": label, "svg": svg, "caption": ""})
    missing = None
    if not rows:
        why = (
            "no case has a known pixel pitch"
            if result.get("um_per_px") is None
            else "the evaluation wrote none"
        )
        missing = f"No biomarkers of this split: {why}."
    return {"rows": rows, "figures": drawn, "missing": missing}
