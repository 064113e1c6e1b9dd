"""The files that a command line names."""

from pathlib import Path

from s2a_jax.inputs.image_files import list_images, list_mask_pairs


def fill(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"never read")
    return folder


def test_pictures_that_predict_wrote_are_skipped(tmp_path, capsys):
    written = [f"{id_}_{kind}.png" for id_ in ("a", "a_rv") for kind in ("rv", "faz", "overlay")]
    whole = fill(tmp_path / "whole", "a.tif", "b_rv.png", "predictions.csv", *written)
    assert [files.image.name for files in list_images([whole])] == ["a.tif", "b_rv.png"]
    printed = capsys.readouterr().out
    assert "Left out 6 pictures that predict wrote" in printed and "a_rv.png" in printed
    # The same for files that a shell's * names, and for one folder per slab.
    named = list_images([whole / name for name in ("a.tif", *written)])
    assert [files.id for files in named] == ["a"]
    fill(tmp_path / "deep", "a.png", "b_rv.png")
    (pair, _) = list_images([Path(f"{whole},{tmp_path / 'deep'}")])
    assert [path.name for path in pair.images] == ["a.tif", "a.png"]
    # Without the image they were predicted from, they are images like any other.
    alone = fill(tmp_path / "alone", "a_rv.png", "a_faz.bmp")
    assert [files.id for files in list_images([alone])] == ["a_faz", "a_rv"]


def test_endings_in_capitals(tmp_path):
    masks = fill(tmp_path / "masks", "a_RV.png", "a_Faz.png")
    for rv, faz in ((masks, masks), (masks / "a_RV.png", masks / "a_Faz.png")):
        (files,) = list_mask_pairs(rv, faz)
        assert (files.id, files.rv.name, files.faz.name) == ("a", "a_RV.png", "a_Faz.png")
