"""The files that a command line names."""

from pathlib import Path

import pytest

from s2a_jax.errors import UserError
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
    assert "Left out 6 pictures that predict or analyze wrote" in printed and "a_rv.png" in printed
    # The same for files that a shell's * names, and for one folder per slab.
    named = list_images([whole / name for name in ("a.tif", *written)])
    assert [files.id for files in named] == ["a"]
    fill(tmp_path / "deep", "a.png", "b_rv.png")
    (pair, _) = list_images([Path(f"{whole},{tmp_path / 'deep'}")])
    assert [path.name for path in pair.images] == ["a.tif", "a.png"]
    # Without the image they were predicted from, they are images like any other.
    alone = fill(tmp_path / "alone", "a_rv.png", "a_faz.bmp")
    assert [files.id for files in list_images([alone])] == ["a_faz", "a_rv"]


@pytest.mark.parametrize("journal", ["eyes", "predictions", "eyes-0-of-2"])
def test_results_in_another_folder_are_no_images(tmp_path, capsys, journal):
    results = ["site+a_rv.png", "site+a_faz.png", "site+a_overlay.png", "site+a_uncertainty.png"]
    results.append("site+a_seg.dcm")
    fill(tmp_path, "b.png", "c_rv.png")
    done = fill(tmp_path / "done", "d.png", "contact_sheet-2.png", f"{journal}.jsonl", *results)
    for given in (tmp_path, tmp_path / "**/*"):
        ids = {files.id for files in list_images([given], recursive=True)}
        assert ids == {"b", "c_rv", "done/d"}
        assert "Left out 6 pictures that predict or analyze" in capsys.readouterr().out
    (done / "d.png").unlink()
    for given in (done, done / "*", done / results[0]):
        with pytest.raises(UserError, match=r"predict or analyze wrote .*; name the images"):
            list_images([given])
    # A user's file makes no folder of results, but being --out does.
    (done / f"{journal}.jsonl").rename(done / f"{journal}_notes.jsonl")
    assert len(list_images([tmp_path / "**/*"])) == 8
    assert len(list_images([tmp_path / "**/*"], out=done)) == 2


def test_endings_in_capitals(tmp_path):
    masks = fill(tmp_path / "masks", "a_RV.png", "a_Faz.png")
    for rv, faz in ((masks, masks), (masks / "a_RV.png", masks / "a_Faz.png")):
        (files,) = list_mask_pairs(rv, faz)
        assert (files.id, files.rv.name, files.faz.name) == ("a", "a_RV.png", "a_Faz.png")
