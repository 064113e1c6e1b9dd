"""Contact sheets: places of the eyes, pages, and what an earlier command left."""

import numpy as np
import pytest
from PIL import Image

from s2a_jax.analysis.contact_sheet import Tile, write_sheets


@pytest.mark.parametrize(("count", "names"), [
    (3, ["contact_sheet.png"]), (65, ["contact_sheet-1.png", "contact_sheet-2.png"]),
])  # fmt: skip
def test_pages(tmp_path, count, names):
    for name in ("contact_sheet-7.png", "contact_sheet_of_mine.png"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    tiles = []
    for i in range(count):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (10, 5), (i + 100, 0, 0)).save(path)
        tiles.append(Tile(path, "a very long name of an image " * 3 + str(i), "doubtful"))
    assert [path.name for path in write_sheets(tmp_path, tiles)] == names
    left = {path.name for path in tmp_path.glob("contact_sheet*")}
    assert left == {*names, "contact_sheet_of_mine.png"}
    with Image.open(tmp_path / names[-1]) as sheet:
        pixels = np.asarray(sheet)
    last = (count - 1) % 64
    y, x = 8 + last // 8 * 228 + 100, 8 + last % 8 * 208 + 100  # centre of the last eye
    assert tuple(pixels[y, x]) == (count - 1 + 100, 0, 0)
    assert pixels.shape[1] == 8 + 208 * min(8, last + 1)
