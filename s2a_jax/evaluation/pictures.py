"""Pictures of predictions: overlays and comparisons with the truth."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from s2a_jax.files import written_whole

RV_COLOUR = (255, 70, 70)
FAZ_COLOUR = (70, 170, 255)
RIGHT, MISSED, WRONG = (255, 255, 255), (255, 170, 0), (230, 0, 230)

_CAPTION = 18  # pixels
_NAMES = {"rv": "vessel", "faz": "FAZ"}
_INK, _PAPER = (255, 220, 90), (24, 24, 24)  # text and background of tags on missing masks


def overlay(image: np.ndarray, rv: np.ndarray | None, faz: np.ndarray | None) -> np.ndarray:
    """Draws masks in colour on the image.

    Args:
        image: [H, W] in [0, 1].
        rv: bool [H, W] vessels (red), or None.
        faz: bool [H, W] avascular zone (blue), or None.

    Returns:
        uint8 [H, W, 3].
    """
    levels = np.rint(image[..., None].astype(np.float64) * 255)  # exact for 8-bit files
    colours = np.repeat(levels, 3, axis=-1)
    for mask, colour in ((rv, RV_COLOUR), (faz, FAZ_COLOUR)):
        if mask is not None:
            colours[mask] = 0.45 * colours[mask] + 0.55 * np.array(colour)
    return colours.astype(np.uint8)


def differences(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Draws right pixels white, missed ones orange, wrong ones magenta.

    Args:
        predicted: bool [H, W].
        truth: bool [H, W].

    Returns:
        uint8 [H, W, 3].
    """
    colours = np.zeros((*truth.shape, 3), np.uint8)
    colours[truth & predicted] = RIGHT
    colours[truth & ~predicted] = MISSED
    colours[predicted & ~truth] = WRONG
    return colours


def tag_missing(panel: Image.Image, truth: dict[str, np.ndarray | None]) -> None:
    """Names the masks that the case lacks in a corner of a picture of its true masks.

    Without the tag, a FAZ that was never annotated looks like an eye without a FAZ.

    Args:
        panel: RGB picture to draw on.
        truth: {"rv", "faz"} -> bool [H, W], or None where the case has no such mask.
    """
    missing = [task for task in _NAMES if truth[task] is None]
    if missing:
        _tag(panel, f"no {' or '.join(_NAMES[task] for task in missing)} mask")


def _tag(panel: Image.Image, text: str) -> None:
    font = ImageFont.load_default(max(7, min(12, panel.width // 9)))
    draw = ImageDraw.Draw(panel)
    box = draw.textbbox((4, 2), text, font)
    draw.rectangle((0, 0, box[2] + 4, box[3] + 3), _PAPER)
    draw.text((4, 2), text, _INK, font)


def save_comparison(
    path: Path,
    image: np.ndarray,
    truth: dict[str, np.ndarray | None],
    predicted: dict[str, np.ndarray],
    caption: str,
) -> None:
    """Draws image, truth, prediction and, for each task, the differences in a row.

    Where the case lacks the mask of a task, the truth names it and the differences are hatched, as
    they are for a task that is not predicted.

    Args:
        path: the PNG.
        image: [H, W] in [0, 1].
        truth: {"rv", "faz"} -> bool [H, W], or None where the case has no such mask.
        predicted: {"rv", "faz"} -> bool [H, W]; a task that is not predicted is absent.
        caption: one line above the row.
    """
    scale = max(1, round(300 / image.shape[0]))
    height, width = (scale * n for n in image.shape)

    def panel(pixels: np.ndarray) -> Image.Image:
        return Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)

    panels = [
        ("image", panel(overlay(image, None, None))),
        ("truth", panel(overlay(image, truth["rv"], truth["faz"]))),
        ("prediction", panel(overlay(image, predicted.get("rv"), predicted.get("faz")))),
    ]
    tag_missing(panels[1][1], truth)
    for task, name in (("rv", "vessels"), ("faz", "FAZ")):
        if truth[task] is None:
            drawn = _hatched(width, height)
            _tag(drawn, f"no {_NAMES[task]} mask")
        elif task not in predicted:
            drawn = _hatched(width, height)
            _tag(drawn, f"no {_NAMES[task]} prediction")
        else:
            drawn = panel(differences(predicted[task], truth[task]))
        panels.append((f"{name}: differences", drawn))
    sheet = Image.new("RGB", ((width + 4) * len(panels) - 4, height + 2 * _CAPTION), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    legend = "differences: white right, orange missed, magenta wrong"
    draw.text((4, 2), f"{caption}   ({legend})", (255, 255, 255), font)
    for i, (title, drawn) in enumerate(panels):
        left = i * (width + 4)
        draw.text((left + 4, _CAPTION), title, (200, 200, 200), font)
        sheet.paste(drawn, (left, 2 * _CAPTION))
    with written_whole(path) as partial:
        sheet.save(partial)


def _hatched(width: int, height: int) -> Image.Image:
    """Grey stripes, unlike any prediction."""
    y, x = np.mgrid[:height, :width]
    stripes = np.where((x + y) % 16 < 2, 96, 40).astype(np.uint8)
    return Image.fromarray(np.repeat(stripes[..., None], 3, axis=-1))
