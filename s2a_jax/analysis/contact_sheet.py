"""Contact sheets: small overlays of many eyes on one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from s2a_jax.errors import UserError
from s2a_jax.files import written_whole
from s2a_jax.inputs.result_files import CONTACT_SHEET

_MARK = "s2a-jax contact sheet"
"""Text in the PNG files, which tells these sheets from a user's own."""
_FONT = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
"""Pillow's own font has no letters but those of ASCII."""
_SIDE = 200  # px of an overlay's longer side
_CAPTION = 20  # px
_GAP = 8  # px
_COLUMNS, _ROWS = 8, 8  # of a full page
_BACKGROUND = (24, 24, 24)
_COLOURS = {"good": (150, 220, 150), "doubtful": (255, 200, 90), "unusable": (255, 120, 110)}


class Tile(NamedTuple):
    """One eye on a sheet.

    Attributes:
        path: its overlay.
        name: what is written below.
        level: its quality, which colours the name.
    """

    path: Path
    name: str
    level: str


def write_sheets(folder: Path, tiles: Sequence[Tile]) -> list[Path]:
    """Writes contact_sheet.png, or contact_sheet-1.png, ... for more than 64 eyes.

    Sheets of an earlier command are removed.

    Raises:
        UserError: a picture cannot be read or written, or would replace one that is no such sheet.
    """
    for path in _sheets_in(folder):
        path.unlink()
    size = _COLUMNS * _ROWS
    pages = [tiles[first : first + size] for first in range(0, len(tiles), size)]
    paths = []
    mark = PngInfo()
    mark.add_text("Software", _MARK)
    for number, page in enumerate(pages, 1):
        suffix = f"-{number}" if len(pages) > 1 else ""
        paths.append(folder / f"contact_sheet{suffix}.png")
        if paths[-1].exists():
            raise UserError(f"{paths[-1]} is a picture that analyze did not write; rename it.")
        with written_whole(paths[-1]) as partial:
            _draw(page).save(partial, "PNG", compress_level=1, pnginfo=mark)
    return paths


def _sheets_in(folder: Path) -> list[Path]:
    """The contact sheets in a folder that `write_sheets` wrote."""
    return [
        path for path in folder.iterdir() if CONTACT_SHEET.fullmatch(path.name) and _is_ours(path)
    ]


def _is_ours(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            return picture.info.get("Software") == _MARK
    except OSError:
        return False


def _draw(tiles: Sequence[Tile]) -> Image.Image:
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    step_x, step_y = _SIDE + _GAP, _SIDE + _CAPTION + _GAP
    sheet = Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), _BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(_FONT, 12)
    for i, tile in enumerate(tiles):
        x, y = _GAP + i % columns * step_x, _GAP + i // columns * step_y
        picture = _small(tile.path)
        place = (x + (_SIDE - picture.width) // 2, y + (_SIDE - picture.height) // 2)
        sheet.paste(picture, place)
        name = tile.name
        while draw.textlength(name, font) > _SIDE:  # the end tells images of a series apart
            name = f"…{name.lstrip('…')[1:]}"
        draw.text((x, y + _SIDE + 2), name, _COLOURS[tile.level], font)
    return sheet


def _small(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            scale = _SIDE / max(picture.size)
            size = [max(1, round(side * scale)) for side in picture.size]
            return picture.convert("RGB").resize(size, Image.Resampling.BOX)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}; run the same command again.") from error
