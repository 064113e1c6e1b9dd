"""Image files that cannot be used: alone, and among others that can."""

import pytest
from PIL import Image

from tests.mistakes.bad_images import GREY, IMAGES, PNG


@pytest.mark.parametrize("name", IMAGES)
def test_alone(tmp_path, refused, name):
    (tmp_path / name).write_bytes(IMAGES[name])
    refused(["measure", "--rv", name, "--field-mm", "3", "--out", "eyes.csv"], name)


@pytest.mark.parametrize(("command", "table"), [("predict", "predictions"), ("analyze", "eyes")])
def test_among_others(tmp_path, refused, network, command, table):
    images = tmp_path / "images"
    images.mkdir()
    (images / "good.png").write_bytes(PNG)
    for name, content in IMAGES.items():
        # Ids differ by more than the extension.
        (images / name.replace(".", "_", name.count(".") - 1)).with_stem(
            name.replace(".", "-")
        ).write_bytes(content)
    flags = ["--weights", "sim_to_real"] * (command == "predict")
    first, *sentences = refused([command, *flags, "--out", "out", "images"], code=1)
    assert first.startswith(f"{len(IMAGES)} of {len(IMAGES) + 1} images cannot be used")
    assert len(sentences) == len(IMAGES)
    for name in IMAGES:
        stem = name.replace(".", "-")
        assert sum(f"/{stem}." in sentence for sentence in sentences) == 1, name
    written = {path.name for path in (tmp_path / "out").iterdir() if path.suffix == ".png"}
    assert {name for name in written if not name.startswith("contact")} == {
        f"good_{kind}.png" for kind in ("rv", "faz", "overlay")
    }
    lines = (tmp_path / f"out/{table}.csv").read_text().splitlines()
    assert len(lines) == 2 and lines[1].startswith("good")


def test_one_bad_slab_of_an_eye(tmp_path, refused, network):
    Image.fromarray(GREY).save(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes(PNG[:60])
    command = ["predict", "--weights", "sim_to_real", "--out", "out", "good.png,cut.png"]
    refused(command, "good.png,cut.png is 2 file(s)")
