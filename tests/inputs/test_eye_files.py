"""Which files a command line names."""

from pathlib import Path

from s2a_jax.inputs.eye_files import eyes_with_images, eyes_with_masks


def fill(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"never read")
    return folder


def test_pictures_that_predict_wrote_are_skipped(tmp_path, capsys):
    made = [f"{eye}_{kind}.png" for eye in ("a", "a_rv") for kind in ("rv", "faz", "overlay")]
    eyes = fill(tmp_path / "eyes", "a.tif", "b_rv.png", "predictions.csv", *made)
    assert [eye.image.name for eye in eyes_with_images([eyes])] == ["a.tif", "b_rv.png"]
    printed = capsys.readouterr().out
    assert "6 pictures that predict wrote are left out" in printed and "a_rv.png" in printed
    # The same for files that a shell's * names, and for one folder per slab.
    named = eyes_with_images([eyes / name for name in ("a.tif", *made)])
    assert [eye.id for eye in named] == ["a"]
    fill(tmp_path / "deep", "a.png", "b_rv.png")
    (pair, _) = eyes_with_images([Path(f"{eyes},{tmp_path / 'deep'}")])
    assert [path.name for path in pair.images] == ["a.tif", "a.png"]
    # Without the image that it was made from, it is an image like any other.
    alone = fill(tmp_path / "alone", "a_rv.png", "a_faz.bmp")
    assert [eye.id for eye in eyes_with_images([alone])] == ["a_faz", "a_rv"]


def test_endings_in_capitals(tmp_path):
    masks = fill(tmp_path / "masks", "a_RV.png", "a_Faz.png")
    for rv, faz in ((masks, masks), (masks / "a_RV.png", masks / "a_Faz.png")):
        (eye,) = eyes_with_masks(rv, faz)
        assert (eye.id, eye.rv.name, eye.faz.name) == ("a", "a_RV.png", "a_Faz.png")
