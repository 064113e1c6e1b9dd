"""The part of the report about one split: tables, curves, cases, biomarkers."""

from collections.abc import Callable, Mapping
from typing import Any

from s2a_jax.report import figures, labels
from s2a_jax.report.run_files import RunFiles, column_values, embed

_NONE = "–"
_HOW = ("protocol", "threshold", "step")  # facts that tell how was counted
_FEW = 5  # cases, below which a bootstrap interval says little
_DIAGRAM = 3  # cases, below which limits of agreement are no more than the cases themselves
_NAMES = {"test": "test", "val": "validation"}
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


def split_name(split: str) -> str:
    """What people call a split."""
    return _NAMES.get(split, split)


def split_section(run: RunFiles, split: str) -> dict[str, Any]:
    """What results/<split>.json and its companions tell.

    Returns:
        `name`, `facts` (words about the evaluation), `notes` (sentences of the evaluation's own),
        `tasks` (list of `task`, `label` and `rows` of a table), `window` (what the FAZ's is, or
        None), `figures`, `table` (`columns`, `rows`, one a case), `pictures` (list of `title`,
        `cases`), `biomarkers` (`rows`, `figures`, `missing`), `missing` (sentences).
    """
    result = run.results[split]
    part: dict[str, Any] = {
        "name": split_name(split), "facts": _facts(result), "missing": [],
        "notes": list(result.get("notes") or ()),
        "tasks": [], "figures": [], "table": None, "pictures": [], "window": None,
        "biomarkers": {"rows": [], "figures": [], "missing": None},
    }  # fmt: skip
    for fill in (_tables, _case_table, _curves, _pictures, _biomarkers):
        try:
            fill(run, split, part)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            run.notes.append(
                f"{run.results_name(f'{split}.json')} is not as an evaluation writes it "
                f"({type(error).__name__}: {error}); a part of the {part['name']} section is "
                "missing."
            )
    return part


def sample_section(run: RunFiles, best: Mapping[str, Any] | None) -> dict[str, Any]:
    """The validation cases that training draws, and what they are not.

    They are drawn for each network that is the best so far, and after an evaluation, always at
    `config.eval.threshold` and native size; the results may be of another protocol or step.

    Args:
        run: its files.
        best: `step` of the best validation, or None.

    Returns:
        `cases` (list of `source`, `name`), `facts` (how they were drawn), `note` (sentences where
        the results on validation were counted otherwise, or None).
    """
    cases = [
        {"source": source, "name": path.stem}
        for path in run.overlays
        if (source := embed(run, path)) is not None
    ]
    step = None if best is None else best["step"]
    section = run.config.get("eval")
    threshold = section.get("threshold") if isinstance(section, Mapping) else None
    result = run.results.get("val", {})
    if result.get("protocol") == "native" and result.get("step") == step:
        threshold = result.get("threshold", threshold)  # evaluated with another, drawn with it too
    facts = ["best network of validation"]
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
        counted = ", ".join(_facts({name: result.get(name) for name in _HOW}))
        note = (
            f"The results on validation were counted otherwise ({counted}), so the Dice of these "
            "pictures may differ from theirs. The best and worst cases are drawn as counted."
        )
    return {"cases": cases, "facts": facts, "note": note}


def _facts(result: Mapping[str, Any]) -> list[str]:
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


def _tables(run: RunFiles, split: str, part: dict[str, Any]) -> None:
    few = []
    for task, metrics in run.results[split]["metrics"].items():
        rows = [_metric_row(name, entry) for name, entry in metrics.items()]
        label = labels.TASKS.get(task, task)
        part["tasks"].append({"task": task, "label": label, "rows": rows})
        counted = max((entry.get("cases") or 0 for entry in metrics.values()), default=0)
        if counted < _FEW:
            few.append(f"{label} on {counted}")
    if few:
        run.notes.append(
            f"Too few cases of {part['name']} for an interval to mean much: {', '.join(few)}."
        )
    for task in ("rv", "faz"):
        if task not in run.results[split]["metrics"]:
            part["missing"].append(f"No case of this split has a {labels.TASKS[task]} mask.")
    if run.results[split].get("window_definition"):
        part["window"] = f"Window: {run.results[split]['window_definition']}."


def _metric_row(name: str, entry: Mapping[str, Any]) -> dict[str, str]:
    digits = 2 if name.endswith(("_px", "_um", "_error")) else 4  # the others are in [0, 1]
    is_single = entry.get("cases") == 1  # which spreads over nothing
    return {
        "name": name,
        "label": labels.metric(name),
        "mean": labels.number(entry.get("mean"), digits),
        "interval": _NONE if is_single else labels.interval(entry, digits),
        "sd": _NONE if is_single else labels.number(entry.get("sd"), digits),
        "pooled": labels.number(entry.get("pooled"), digits),
        "cases": labels.value(entry.get("cases")),
    }


def _case_table(run: RunFiles, split: str, part: dict[str, Any]) -> None:
    rows = run.cases.get(split)
    if not rows:
        file = run.results_name(f"{split}.csv")
        part["missing"].append(f"There is no {file} with a row for each case.")
        return
    values = {task: column_values(rows, f"{task}_dice") for task in labels.TASKS}
    values = {task: numbers for task, numbers in values.items() if numbers}
    if values:
        svg = figures.distribution(values, "Dice", f"Dice of every case of {part['name']}")
        caption = "Every case a dot, from worst to best."
        part["figures"].append({"title": "Dice by case", "svg": svg, "caption": caption})
    columns = [name for name in rows[0] if name]
    part["table"] = {
        "columns": columns,
        "rows": [[_cell(row.get(name)) for name in columns] for row in rows],
    }


def _cell(text: str | None) -> str:
    """A cell of a CSV file, numbers shortened."""
    if text is None:
        return ""
    digits = text.lstrip("-").replace(".", "", 1)
    return labels.number(float(text)) if "." in text and digits.isdecimal() else text


def _curves(run: RunFiles, split: str, part: dict[str, Any]) -> None:
    curves = run.results[split].get("curves") or {}
    for name, (draw, title, caption) in _CURVES.items():
        data = {task: by_name[name] for task, by_name in curves.items() if by_name.get(name)}
        if data:
            svg = draw(data, f"{title}, {part['name']}")
            part["figures"].append({"title": title, "svg": svg, "caption": caption})
        else:
            part["missing"].append(f"{title}: the evaluation has left no such curve.")


def _pictures(run: RunFiles, split: str, part: dict[str, Any]) -> None:
    pictures = run.results[split].get("pictures") or {}
    for name, title in (("best", "Best cases"), ("worst", "Worst cases")):
        items = []
        for relative in pictures.get(name) or ():
            path = run.results_folder() / relative
            if (source := embed(run, path)) is not None:
                items.append({"source": source, "name": path.stem})
        if items:
            part["pictures"].append({"title": title, "cases": items})
        else:
            part["missing"].append(f"{title}: the evaluation has drawn none.")


def _biomarkers(run: RunFiles, split: str, part: dict[str, Any]) -> None:
    result, target = run.results[split], part["biomarkers"]
    if not result.get("biomarkers"):
        why = (
            "no case has a known size of a pixel in µm"
            if result.get("um_per_px") is None
            else "the evaluation has left none"
        )
        target["missing"] = f"No biomarkers of this split: {why}."
        return
    for name, entry in result["biomarkers"].items():
        label, unit = labels.split_unit(name)
        is_single = entry.get("cases") == 1
        target["rows"].append(
            {
                "label": f"{label} ({unit})" if unit else label,
                "cases": labels.value(entry.get("cases")),
                "bias": labels.number(entry.get("bias")),
                "limits": _NONE if is_single else labels.interval(entry),
                "icc": _NONE if is_single else labels.number(entry.get("icc"), 3),
                "agreement": _NONE if is_single else labels.agreement(entry.get("icc")),
            }
        )
        if len(entry.get("true") or ()) >= _DIAGRAM and labels.interval(entry) != "–":
            svg = figures.bland_altman(entry, unit, f"{label}, {part['name']}")
            target["figures"].append({"title": label, "svg": svg, "caption": ""})
