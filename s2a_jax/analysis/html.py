"""Analyses as HTML: a fragment for notebooks and pages, and one page about many eyes."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from s2a_jax.analysis.analysis import Analysis
from s2a_jax.analysis.pictures import data_uri, grey
from s2a_jax.report import labels
from s2a_jax.report.pages import templates_in

_TEMPLATES = Path(__file__).parent / "templates"

HEADLINES = (
    "faz_area_mm2",
    "faz_circularity",
    "faz_acircularity",
    "vessel_density",
    "skeleton_density_per_mm",
    "vessel_diameter_index_um",
    "fractal_dimension",
    "fd300",
)
"""The biomarkers that are shown first, in this order."""


class EyeEntry(NamedTuple):
    """One eye of a page about many.

    Attributes:
        name: of its image.
        overlay: address of its overlay: a file beside the page, or the picture itself as data.
        row: as `Analysis.row`.
        sentences: doubts and notes.
    """

    name: str
    overlay: str
    row: dict[str, Any]
    sentences: tuple[str, ...]


def fragment(analysis: Analysis) -> str:
    """One analysis as HTML without a page around it; every text in it is escaped."""
    return (
        _environment()
        .get_template("analysis.html")
        .render(
            style=_style(),
            pictures=[
                ("Image", data_uri(grey(analysis.picture))),
                ("Vessels and FAZ", data_uri(analysis.overlay())),
                ("Uncertainty", data_uri(analysis.uncertainty_picture())),
            ],
            level=analysis.quality.level,
            sentences=sentences(analysis),
            facts=facts(analysis),
            headlines=biomarkers(analysis, HEADLINES),
            others=biomarkers(analysis, [n for n in analysis.biomarkers if n not in HEADLINES]),
        )
    )


def page(entries: Iterable[EyeEntry], *, title: str, failed: Iterable[tuple[str, str]] = ()) -> str:
    """A page about many eyes.

    Args:
        entries: the eyes.
        title: of the page.
        failed: name and reason of images without a result.
    """
    return (
        _environment()
        .get_template("eyes.html")
        .render(
            style=_style(),
            title=title,
            entries=list(entries),
            headlines=[(name, labels.with_unit(name)) for name in HEADLINES],
            number=_number,
            failed=list(failed),
            written=labels.moment(datetime.now().astimezone().isoformat()),
        )
    )


def sentences(analysis: Analysis) -> tuple[str, ...]:
    """Doubts about the image, then the notes."""
    found = [reason.sentence for reason in analysis.quality.reasons]
    if not analysis.biomarkers:
        found.append(
            "The size of the pixels is unknown, so nothing is measured; give the field of view or "
            "the pitch."
        )
    return (*found, *analysis.notes)


def facts(analysis: Analysis) -> list[tuple[str, str]]:
    """Label and value of what is known about the eye and how sure its masks are."""
    height, width = analysis.picture.shape
    eye = analysis.eye
    found = [("Size", f"{width} × {height} px")]
    if eye.um_per_px is not None:
        source = f" ({eye.pitch_source})" if eye.pitch_source else ""
        found.append(("Pixel pitch", f"{eye.um_per_px:.4g} µm{source}"))
    if eye.laterality:
        found.append(("Eye", eye.laterality))
    names = {"rv": "vessels", "faz": "FAZ"}
    found += [
        (f"Expected Dice, {names[task]}", f"{dice:.3f}")
        for task, dice in analysis.expected_dice.items()
    ]
    return found


def biomarkers(analysis: Analysis, names: Iterable[str]) -> list[tuple[str, str]]:
    """Label with unit, and value, of those biomarkers that the eye has."""
    return [
        (labels.with_unit(name), _number(analysis.biomarkers[name]))
        for name in names
        if name in analysis.biomarkers
    ]


def _number(value: float | str | None) -> str:
    """A number of a table; a dash where it is not defined."""
    if value is None or value == "" or np.isnan(float(value)):
        return labels.NOTHING
    return f"{float(value):.4g}"


def _style() -> Markup:
    return Markup((_TEMPLATES / "analysis.css").read_text())


@cache
def _environment() -> Environment:
    return templates_in(_TEMPLATES)
