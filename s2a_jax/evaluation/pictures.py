"""Pictures of predictions: overlays and comparisons with the truth."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

RV_COLOUR = (255, 70, 70)
FAZ_COLOUR = (70, 170, 255)
RIGHT, MISSED, WRONG = (255, 255, 255), (255, 170, 0), (230, 0, 230)

_CAPTION = 18  # pixels


def overlay(image: np.ndarray, rv: np.ndarray | None, faz: np.ndarray | None) -> np.ndarray:
    """Masks in colour on the image.

    Args:
        image: [H, W] in [0, 1].
        rv: bool [H, W] vessels (red), or None.
        faz: bool [H, W] avascular zone (blue), or None.

    Returns:
        uint8 [H, W, 3].
    """
    colours = np.repeat(image[..., None] * 255.0, 3, axis=-1)
    for mask, colour in ((rv, RV_COLOUR), (faz, FAZ_COLOUR)):
        if mask is not None:
            colours[mask] = 0.45 * colours[mask] + 0.55 * np.array(colour)
    return colours.astype(np.uint8)


def differences(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Right in white, missed in orange, wrong in magenta.  bool [H, W] twice -> uint8 [H, W, 3]."""
    colours = np.zeros((*truth.shape, 3), np.uint8)
    colours[truth & predicted] = RIGHT
    colours[truth & ~predicted] = MISSED
    colours[predicted & ~truth] = WRONG
    return colours


def save_comparison(
    path: Path,
    image: np.ndarray,
    truth: dict[str, np.ndarray | None],
    predicted: dict[str, np.ndarray],
    caption: str,
) -> None:
    """Writes image, truth, prediction and, for each task with a mask, the differences in a row.

    Args:
        path: where the PNG goes.
        image: [H, W] in [0, 1].
        truth: {"rv", "faz"} -> bool [H, W], or None where the case has no such mask.
        predicted: {"rv", "faz"} -> bool [H, W].
        caption: one line above the row.
    """
    panels = [
        ("image", overlay(image, None, None)),
        ("truth", overlay(image, truth["rv"], truth["faz"])),
        ("prediction", overlay(image, predicted["rv"], predicted["faz"])),
    ]
    for task, name in (("rv", "vessels"), ("faz", "FAZ")):
        if truth[task] is not None:
            panels.append((f"{name}: differences", differences(predicted[task], truth[task])))
    scale = max(1, round(300 / image.shape[0]))
    height, width = (scale * n for n in image.shape)
    sheet = Image.new("RGB", ((width + 4) * len(panels) - 4, height + 2 * _CAPTION), (24, 24, 24))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    legend = "differences: white right, orange missed, magenta wrong"
    draw.text((4, 2), f"{caption}   ({legend})", (255, 255, 255), font)
    for i, (title, pixels) in enumerate(panels):
        left = i * (width + 4)
        draw.text((left + 4, _CAPTION), title, (200, 200, 200), font)
        panel = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(panel, (left, 2 * _CAPTION))
    sheet.save(path)
