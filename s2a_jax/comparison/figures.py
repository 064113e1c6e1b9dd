"""Pictures of the comparison: Dice of every case, learning curves, the same cases side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from s2a_jax.comparison.results import TASK_NAMES, Result, read_curves

_CAPTION = 20  # pixels above each network's row


def draw_dice(
    path: Path,
    results: Sequence[Result],
    cases: Mapping[str, Mapping[str, Sequence[str]]],
) -> None:
    """Draws a box per network and a point per case (mean over the seeds)."""
    names = list(dict.fromkeys(result.name for result in results))
    panels = [(split, task, ids) for split, tasks in cases.items() for task, ids in tasks.items()]
    width = max(3.0, 0.7 * len(names) + 1.2) * len(panels)
    figure = Figure(figsize=(width, 4))
    axes = figure.subplots(1, len(panels), squeeze=False)
    scatter = np.random.default_rng(0)
    for axis, (split, task, ids) in zip(axes[0], panels, strict=True):
        values = [
            np.mean([[r.dice[split][task][i] for i in ids] for r in results if r.name == name], 0)
            for name in names
        ]
        axis.boxplot(values, tick_labels=names, showfliers=False, widths=0.6)
        for position, dice in enumerate(values, 1):
            x = position + scatter.uniform(-0.15, 0.15, len(dice))
            axis.plot(x, dice, ".", alpha=0.5, color=f"C{(position - 1) % 10}")
        axis.set_title(f"{split}, {TASK_NAMES[task]}")
        axis.tick_params(axis="x", rotation=45)
        axis.grid(axis="y", alpha=0.3)
    axes[0][0].set_ylabel("Dice")
    _save(figure, path)


def draw_curves(path: Path, results: Sequence[Result]) -> None:
    """Draws training loss and validation Dice by step: one line per run, one colour per network."""
    curves = [(result, read_curves(result.folder)) for result in results]
    titles = {
        "loss": "training loss, RV + FAZ",
        "val_rv_dice": "validation, vessels (RV): Dice",
        "val_faz_dice": "validation, avascular zone (FAZ): Dice",
    }
    names = list(dict.fromkeys(result.name for result in results))
    figure = Figure(figsize=(13, 4))
    axes = figure.subplots(1, len(titles))
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        labelled = set()
        for result, by_name in curves:
            if key in by_name:
                label = None if result.name in labelled else result.name
                labelled.add(result.name)
                axis.plot(
                    *by_name[key].T,
                    label=label,
                    color=f"C{names.index(result.name) % 10}",
                    marker="." if len(by_name[key]) < 20 else None,
                    alpha=0.8,
                    linewidth=1.2,
                )
        axis.set_title(title)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    for axis in axes:
        if axis.lines:
            axis.legend()
            break
    _save(figure, path)


def write_sheets(folder: Path, results: Sequence[Result], number: int = 3) -> list[Path]:
    """Draws the same validation cases for all networks, one picture per case: `<folder>/<id>.png`.

    Stacks the overlays of each network's first run, for cases that all of them drew.

    Returns:
        The pictures; none where the runs have no overlays in common.
    """
    first: dict[str, Result] = {}
    for result in results:
        first.setdefault(result.name, result)
    drawn = [{path.name for path in (r.folder / "overlays").glob("*.png")} for r in first.values()]
    common = sorted(set.intersection(*drawn))[:number]
    if common:
        folder.mkdir(parents=True, exist_ok=True)
    for name in common:
        rows = []
        for label, result in first.items():
            with Image.open(result.folder / "overlays" / name) as picture:
                rows.append((label, picture.convert("RGB")))
        width = max(picture.width for _, picture in rows)
        height = sum(picture.height + _CAPTION for _, picture in rows)
        sheet = Image.new("RGB", (width, height), (24, 24, 24))
        draw, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(14), 0
        for label, picture in rows:
            draw.text((4, top + 1), label, (255, 220, 120), font)
            sheet.paste(picture, (0, top + _CAPTION))
            top += picture.height + _CAPTION
        sheet.save(folder / name)
    return [folder / name for name in common]


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
