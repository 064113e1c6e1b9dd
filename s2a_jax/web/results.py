"""What the page shows about a request, and what it offers for download, all in one fragment.

Pictures and downloads travel inside the fragment, so that the server need not keep any file.
"""

import base64
import io
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment
from PIL import Image

from s2a_jax.analysis import html
from s2a_jax.analysis.analysis import TASKS, Analysis
from s2a_jax.analysis.pictures import data_uri, grey, layer, png_bytes
from s2a_jax.analysis.reference_ranges import REFERENCES, Reference, without_range
from s2a_jax.biomarkers.table import write_rows
from s2a_jax.evaluation.pictures import FAZ_COLOUR, RV_COLOUR
from s2a_jax.inputs.names import counted, file_name_of
from s2a_jax.report.pages import templates_in
from s2a_jax.web.eyes import EyeResult, Failure

_TEMPLATES = Path(__file__).parent / "templates"
_SHOWN_SIDE = 1024  # px; larger pictures are shrunk for the screen, not in the downloads
_DOUBT_COLOUR = (255, 220, 0)


class Layer(NamedTuple):
    """A picture over the image with a slider.

    Attributes:
        kind: name in the page.
        label: of the slider.
        uri: the picture as data.
        opacity: at first, in percent.
    """

    kind: str
    label: str
    uri: str
    opacity: int


class Row(NamedTuple):
    """A row of the table of biomarkers.

    Attributes:
        label: with unit.
        value: as text.
        references: of healthy eyes.
        without: why there are none.
    """

    label: str
    value: str
    references: tuple[Reference, ...]
    without: str


class Download(NamedTuple):
    """A file that the page holds ready.

    Attributes:
        label: of its button.
        name: of the file.
        kind: MIME type.
        content: in base64.
    """

    label: str
    name: str
    kind: str
    content: str


def results_html(found: Iterable[EyeResult | Failure]) -> str:
    """The fragment about a request; every text of the user's in it is escaped.

    Args:
        found: results in the order of the files. One is in memory at a time, since pictures may be
            large.
    """
    failed: list[Failure] = []
    shown: list[dict[str, Any]] = []
    table: list[dict[str, str | float]] = []
    entries: list[html.EyeEntry] = []
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for one in found:
            if isinstance(one, Failure):
                failed.append(one)
                continue
            sentences, overlay = html.sentences(one.analysis), one.analysis.overlay()
            for kind, pixels in (*_masks(one.analysis), ("overlay", overlay)):
                archive.writestr(f"{file_name_of(one.id)}_{kind}.png", png_bytes(pixels))
            shown.append(_shown(one, sentences))
            table.append({"id": one.id, **one.analysis.row(), "notes": " ".join(sentences)})
            entries.append(html.EyeEntry(one.name, data_uri(_fit(overlay)), table[-1], sentences))
    eyes = counted(len(shown), "eye")
    page = html.page(entries, title=f"{eyes} analyzed", failed=failed)
    downloads = [
        Download(f"Masks of {eyes} (ZIP)", "masks.zip", "application/zip", _text(file.getvalue())),
        Download("Table (CSV)", "eyes.csv", "text/csv", _text(_csv(table))),
        Download("Report (HTML)", "report.html", "text/html", _text(page.encode())),
    ]
    return (
        _environment()
        .get_template("results.html")
        .render(eyes=shown, failed=failed, downloads=downloads if shown else [])
    )


def message_html(sentence: str) -> str:
    """A fragment with one sentence about what is wrong."""
    return _environment().get_template("message.html").render(sentence=sentence)


def layers(analysis: Analysis) -> list[Layer]:
    """Vessels, FAZ and uncertainty, those that the network gives."""
    found = []
    if analysis.rv is not None:
        found.append(Layer("rv", "Vessels", data_uri(_fit(layer(analysis.rv, RV_COLOUR))), 55))
    if analysis.faz is not None:
        zone = layer(analysis.faz, FAZ_COLOUR)
        found.append(Layer("faz", "FAZ", data_uri(_fit(zone)), 55))
    doubt = np.maximum.reduce([*analysis.uncertainty.values()])
    found.append(Layer("doubt", "Uncertainty", data_uri(_fit(_glow(doubt))), 0))
    return found


def rows(analysis: Analysis, names: Sequence[str]) -> list[Row]:
    """The table of those biomarkers that the eye has."""
    known = [name for name in names if name in analysis.biomarkers]
    shown = html.biomarkers(analysis, known)
    return [
        Row(label, value, REFERENCES.get(name, ()), without_range(name))
        for name, (label, value) in zip(known, shown, strict=True)
    ]


def _shown(eye: EyeResult, sentences: tuple[str, ...]) -> dict[str, Any]:
    """What the template shows of one eye."""
    analysis = eye.analysis
    others = [name for name in analysis.biomarkers if name not in html.HEADLINES]
    return {
        "name": eye.name,
        "base": data_uri(_fit(grey(analysis.picture))),
        "layers": layers(analysis),
        "level": analysis.quality.level,
        "sentences": sentences,
        "facts": html.facts(analysis),
        "rows": rows(analysis, html.HEADLINES),
        "others": rows(analysis, others),
    }


def _masks(analysis: Analysis) -> list[tuple[str, np.ndarray]]:
    """Task and mask, 0 and 255, as `predict` writes them."""
    masks = analysis.masks
    return [(task, masks[task].astype(np.uint8) * 255) for task in TASKS if task in masks]


def _csv(table: list[dict[str, str | float]]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "eyes.csv"
        write_rows(path, table)
        return path.read_bytes()


def _glow(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as the opacity of one colour, uint8 [H, W, 4]."""
    pixels = np.empty((*values.shape, 4), np.uint8)
    pixels[..., :3] = _DOUBT_COLOUR
    pixels[..., 3] = np.rint(255 * np.clip(values, 0, 1))
    return pixels


def _fit(pixels: np.ndarray) -> np.ndarray:
    """The picture, shrunk to the screen if it is larger."""
    share = _SHOWN_SIDE / max(pixels.shape[:2])
    if share >= 1:
        return pixels
    size = tuple(max(1, round(side * share)) for side in pixels.shape[1::-1])
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


@cache
def _environment() -> Environment:
    return templates_in(_TEMPLATES)
