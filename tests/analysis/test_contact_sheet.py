"""Contact sheets: places of the eyes, pages, and what an earlier command left."""

import numpy as np
import pytest
from PIL import Image

from s2a_jax.analysis.contact_sheet import Tile, write_sheets
from s2a_jax.errors import UserError


@pytest.mark.parametrize(("count", "names"), [
    (3, ["contact_sheet.png"]), (65, ["contact_sheet-1.png", "contact_sheet-2.png"]),
])  # fmt: skip
def test_pages(tmp_path, count, names):
    mine = ("contact_sheet-7.png", "contact_sheet_of_mine.png")
    for name in mine:
        Image.new("L", (4, 4)).save(tmp_path / name)
    tiles = []
    for i in range(count):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (10, 5), (i + 100, 0, 0)).save(path)
        tiles.append(Tile(path, "a very long name of an image " * 3 + str(i), "doubtful"))
    write_sheets(tmp_path, tiles * 3)  # more pages, which go
    assert [path.name for path in write_sheets(tmp_path, tiles)] == names
    left = {path.name for path in tmp_path.glob("contact_sheet*")}
    assert left == {*names, *mine}
    with Image.open(tmp_path / names[-1]) as sheet:
        pixels = np.asarray(sheet)
    last = (count - 1) % 64
    y, x = 8 + last // 8 * 228 + 100, 8 + last % 8 * 208 + 100  # centre of the last eye
    assert tuple(pixels[y, x]) == (count - 1 + 100, 0, 0)
    assert pixels.shape[1] == 8 + 208 * min(8, last + 1)


def test_a_picture_of_the_user_is_not_replaced(tmp_path):
    mine = tmp_path / "contact_sheet.png"
    Image.new("RGB", (4, 4)).save(mine)
    content = mine.read_bytes()
    with pytest.raises(UserError, match="is a picture that analyze did not write; rename it"):
        write_sheets(tmp_path, [Tile(mine, "a", "good")])
    assert mine.read_bytes() == content


def test_letters_beyond_ascii(tmp_path):
    """A letter that the font lacks is drawn as a box, the same for all."""
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    captions = set()
    for letter in "äöжλ":
        (path,) = write_sheets(tmp_path, [Tile(tmp_path / "a.png", letter, "good")])
        with Image.open(path) as sheet:
            captions.add(np.asarray(sheet)[208:].tobytes())
    assert len(captions) == 4
