"""The report of a run or an evaluation: one HTML file without links to anything outside it.

Everything in it comes from the files of the folder (`run_files`); a section without data says so
in a sentence. The templates escape every value except the figures, which matplotlib escapes.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from s2a_jax.data.sets import DATA_SETS
from s2a_jax.errors import UserError
from s2a_jax.files import full_path, written_whole
from s2a_jax.report import labels
from s2a_jax.report.pages import templates_in
from s2a_jax.report.results import sample_section, split_section
from s2a_jax.report.run_files import RunFiles, read_run
from s2a_jax.report.training import config_section, environment_section, training_section

_TEMPLATES = Path(__file__).parent / "templates"
_FIRST = ("test", "val")  # splits in this order; the others follow by name


def write_report(workdir: str | Path, out: str | Path | None = None) -> Path:
    """Writes the report of a run, finished or not, or of one evaluation.

    Args:
        workdir: the folder of the run, or the folder that an evaluation wrote.
        out: the HTML file; default: report.html in that folder.

    Returns:
        The HTML file.

    Raises:
        UserError: `workdir` holds neither, its config.json is broken, or `out` cannot be written.
    """
    workdir = full_path(workdir)
    run = read_run(workdir)
    target = full_path(out) if out is not None else workdir / "report.html"
    if target.is_dir():
        raise UserError(f"--out={target} is a folder; give the name of an HTML file.")
    text = _render(run)
    with written_whole(target) as partial:
        # JSON strings and file names may hold surrogates, which UTF-8 cannot encode.
        partial.write_text(text, encoding="utf-8", errors="replace")
    return target


def _render(run: RunFiles) -> str:
    templates = templates_in(_TEMPLATES)
    templates.globals["svg"] = Markup
    splits = [
        split_section(run, split)
        for split in sorted(run.results, key=lambda name: (*(name != s for s in _FIRST), name))
    ]
    training = training_section(run)
    environment = environment_section(run)
    samples = sample_section(run, training["chosen"])
    return templates.get_template("report.html").render(
        style=Markup((_TEMPLATES / "report.css").read_text()),
        title=_title(run),
        is_run=run.is_run,
        folder=run.path.name,
        written=labels.moment(datetime.now().astimezone().isoformat()),
        tiles=_tiles(run, splits, training, environment),
        splits=splits,
        samples=samples,
        training=training,
        config=config_section(run.config, run.defaults),
        environment=environment,
        # Last, because the sections add to run.notes.
        notes=[
            *_mismatches(run, training["chosen"]),
            *training["notes"],
            *environment["notes"],
            *run.notes,
        ],
    )


def _title(run: RunFiles) -> str:
    if not run.is_run:
        networks = {result.get("network") or "a network" for result in run.results.values()}
        return f"Evaluation of {' and '.join(sorted(networks))}"
    model, variant, data = (
        _field(run.config, section, field)
        for section, field in (("model", "name"), ("model", "variant"), ("data", "name"))
    )
    if data in DATA_SETS and DATA_SETS[data].has_subsets:
        data += f" {_field(run.config, 'data', 'subset')}"
    return f"{model} {variant} on {data}"


def _field(config: Mapping[str, Any], section: str, field: str) -> str:
    content = (config.get(section) or {}).get(field)
    return "unknown" if content is None else str(content)


def _mismatches(run: RunFiles, chosen: Mapping[str, Any] | None) -> list[str]:
    """Notes on results that do not belong to the checkpoint that the run's configuration chooses.

    Args:
        run: files of the run.
        chosen: `step` and `reason` of that checkpoint, or None.
    """
    return [
        f"The results on {labels.split(split)} are of step {result['step']}, but step "
        f"{chosen['step']} {chosen['reason']} in metrics.jsonl."
        for split, result in run.results.items()
        if chosen is not None and result.get("step") not in (None, chosen["step"])
    ]


def _tiles(
    run: RunFiles, splits: list[dict], training: dict, environment: dict
) -> list[dict[str, str]]:
    """The key numbers at the top: `name`, `value`, `detail`."""
    tiles = []
    for task in splits[0]["tasks"] if splits else ():
        dice = next((row for row in task["rows"] if row["name"] == "dice"), None)
        if dice is not None:
            has_interval = dice["interval"] != labels.NOTHING
            detail = f"95 %: {dice['interval']}; " if has_interval else ""
            cases = "1 case" if dice["cases"] == "1" else f"{dice['cases']} cases"
            tiles.append(
                {
                    "name": f"{task['label']} Dice, {splits[0]['name']}",
                    "value": dice["mean"],
                    "detail": f"{detail}{cases}",
                }
            )
    if (best := training["best"]) is not None:
        tiles.append(
            {
                "name": "Best checkpoint",
                "value": f"step {best['step']:g}",
                "detail": f"mean Dice over the masks of val {labels.number(best['score'])}",
            }
        )
    if training["progress"]:
        tiles.append({"name": "Training", **training["progress"]})
    if environment["duration"]:
        tiles.append({"name": "Time", **environment["duration"]})
    if run.parameters is not None:
        value = f"{run.parameters / 1e6:.2f} M"
        tiles.append({"name": "Parameters", "value": value, "detail": f"{run.parameters:,}"})
    return tiles
