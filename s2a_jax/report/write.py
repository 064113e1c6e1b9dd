"""The report of a run, or of an evaluation: one HTML file that needs nothing else.

Everything in it comes from the files of the folder (`run_files`); a section without data says so
in a sentence. Templates escape every value; only figures of our own enter as markup.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from s2a_jax.errors import UserError
from s2a_jax.report import labels
from s2a_jax.report.results import sample_section, split_name, split_section
from s2a_jax.report.run_files import RunFiles, read_run
from s2a_jax.report.training import config_fields, machine, training

_TEMPLATES = Path(__file__).parent / "templates"
_ORDER = ("test", "val")  # these first; the others by name


def write_report(
    workdir: str | Path,
    out: str | Path | None = None,
) -> Path:
    """Writes the report of a run, finished or not, or of one evaluation.

    Args:
        workdir: the folder of the run, or the one that an evaluation has written.
        out: the HTML file; default: report.html in that folder.

    Returns:
        The file.

    Raises:
        UserError: `workdir` holds neither, or `out` cannot be written.
    """
    workdir = Path(workdir).expanduser().absolute()
    run = read_run(workdir)
    target = Path(out).expanduser().absolute() if out is not None else workdir / "report.html"
    if target.is_dir():
        raise UserError(f"--out={target} is a folder; give the name of an HTML file.")
    text = _render(run)
    partial = target.with_name(f"{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        raise UserError(f"Cannot write the report {target}: {error}.") from error
    return target


def _render(run: RunFiles) -> str:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["svg"] = Markup  # figures: matplotlib has escaped what is in them
    environment.filters |= {"number": labels.number}
    splits = [
        split_section(run, split)
        for split in sorted(run.results, key=lambda name: (*(name != s for s in _ORDER), name))
    ]
    curves = _part(run, "metrics.jsonl", training)
    where = _part(run, "environment.json", machine)
    samples = sample_section(run, curves["best"])
    return environment.get_template("report.html").render(
        style=Markup((_TEMPLATES / "report.css").read_text()),
        title=_title(run),
        is_run=run.is_run,
        folder=run.path.name,
        written=labels.moment(datetime.now().astimezone().isoformat()),
        tiles=_tiles(run, splits, curves, where),
        splits=splits,
        samples=samples,
        training=curves,
        config=config_fields(run.config, run.defaults),
        machine=where,
        notes=[
            *_mismatches(run, curves["best"]),
            *curves["notes"],
            *where["notes"],
            *run.notes,
        ],  # last: all parts have added theirs
    )


def _part(run: RunFiles, file: str, make: Callable[[RunFiles], dict]) -> dict:
    """A part that one file tells all about."""
    try:
        return make(run)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{run.path / file} is not as a run writes it ({type(error).__name__}: {error}); move "
            "it away and write the report again."
        ) from error


def _field(config: Mapping[str, Any], section: str, field: str) -> str:
    part = config.get(section)
    content = part.get(field) if isinstance(part, Mapping) else None
    return "unknown" if content is None else str(content)


def _title(run: RunFiles) -> str:
    if not run.is_run:
        networks = {str(result.get("network", "a network")) for result in run.results.values()}
        return f"Evaluation of {' and '.join(sorted(networks))}"
    model, variant, data = (
        _field(run.config, *path.split("."))
        for path in ("model.name", "model.variant", "data.name")
    )
    if data in ("octa500", "rose"):  # the subset belongs to these two; other data sets ignore it
        data += f" {_field(run.config, 'data', 'subset')}"
    return f"{model} {variant} on {data}"


def _mismatches(run: RunFiles, best: dict | None) -> list[str]:
    """Sentences on results that are not those of the best checkpoint."""
    return [
        f"The results on {split_name(split)} are of step {result['step']}, but step "
        f"{best['step']} has the best validation score in metrics.jsonl."
        for split, result in run.results.items()
        if best is not None and result.get("step") not in (None, best["step"])
    ]


def _tiles(run: RunFiles, splits: list, curves: dict, where: dict) -> list[dict[str, str]]:
    """The few numbers on top: name, value, detail."""
    tiles = []
    for task in splits[0]["tasks"] if splits else ():
        dice = next((row for row in task["rows"] if row["name"] == "dice"), None)
        if dice is not None:
            detail = f"95 %: {dice['interval']}; " if dice["interval"] != "–" else ""
            cases = "1 case" if dice["cases"] == "1" else f"{dice['cases']} cases"
            tiles.append(
                {
                    "name": f"{task['label']} Dice, {splits[0]['name']}",
                    "value": dice["mean"],
                    "detail": f"{detail}{cases}",
                }
            )
    if curves["best"] is not None:
        tiles.append(
            {
                "name": "Best checkpoint",
                "value": f"step {curves['best']['step']:g}",
                "detail": f"sum of mean Dice on val {labels.number(curves['best']['score'])}",
            }
        )
    if curves["progress"]:
        tiles.append({"name": "Training", **curves["progress"]})
    if where["duration"]:
        tiles.append({"name": "Time", **where["duration"]})
    if run.parameters is not None:
        value = f"{run.parameters / 1e6:.2f} M"
        tiles.append({"name": "Parameters", "value": value, "detail": f"{run.parameters:,}"})
    return tiles
