import numpy as np
import pytest
from PIL import Image

from s2a_jax.data.cases import load_cases
from s2a_jax.data.fingerprint import fingerprint, of_pixels
from s2a_jax.data.pairing import CaseFiles
from s2a_jax.errors import UserError

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
COMBINED = np.zeros((32, 32), np.uint8)
COMBINED[:4] = 255
COMBINED[10:20, 10:20] = 100


def save(path, array):
    Image.fromarray(array).save(path)
    return path


def case(folder, id_, image=IMAGE, rv=None, faz=None, combined=None):
    """Writes the arrays that are given and describes them."""
    masks = {
        name: None if array is None else save(folder / f"{id_}_{name}.png", array)
        for name, array in {"rv": rv, "faz": faz, "combined": combined}.items()
    }
    return CaseFiles(id_, "train", save(folder / f"{id_}.tif", image), **masks)


def test_masks_of_every_kind(tmp_path):
    binary = (COMBINED == 255).astype(np.uint8)
    cases = load_cases(
        [
            case(tmp_path, "a", combined=COMBINED),
            case(tmp_path, "b", rv=binary),
            case(tmp_path, "c", faz=binary * np.uint8(255)),
        ],
        size=32,
    )
    assert cases.ids == ("a", "b", "c")
    assert len(cases) == 3
    assert cases.images.dtype == cases.rv.dtype == cases.faz.dtype == np.uint8
    np.testing.assert_array_equal(cases.images, np.stack([IMAGE] * 3))
    np.testing.assert_array_equal(cases.rv, np.stack([binary, binary, np.zeros_like(binary)]))
    np.testing.assert_array_equal(cases.faz[0], COMBINED == 100)
    np.testing.assert_array_equal(cases.has_rv, [True, True, False])
    np.testing.assert_array_equal(cases.has_faz, [True, False, True])
    np.testing.assert_array_equal(cases.native_sizes, [[32, 32]] * 3)


def test_other_sizes_are_resized_and_remembered(tmp_path):
    small = case(tmp_path, "small", IMAGE[:16, :20], combined=COMBINED[:16, :20])
    cases = load_cases([case(tmp_path, "a", combined=COMBINED), small], size=32)
    assert cases.images.shape == cases.rv.shape == (2, 32, 32)
    assert cases.images.dtype == np.float32
    assert cases.native_sizes.dtype == np.int32
    np.testing.assert_array_equal(cases.native_sizes, [[32, 32], [16, 20]])
    np.testing.assert_array_equal(cases.images[0], IMAGE.astype(np.float32) / 255)
    assert set(np.unique(cases.rv)) == {0, 1}


def test_16_bit_images_stay_exact(tmp_path):
    deep = IMAGE.astype(np.uint16) * 256 + 7
    cases = load_cases([case(tmp_path, "a", deep, combined=COMBINED)], size=32)
    np.testing.assert_allclose(cases.images[0] * 65535, deep, atol=0.01)


def test_no_files_give_an_empty_set():
    cases = load_cases([], size=32)
    assert len(cases) == 0
    assert cases.images.shape == cases.rv.shape == (0, 32, 32)
    assert cases.native_sizes.shape == (0, 2)


@pytest.mark.parametrize("kind", ["rv", "faz", "combined"])
def test_mask_of_another_size_names_both_files(tmp_path, kind):
    bad = case(tmp_path, "a", **{kind: np.zeros((16, 32), np.uint8)})
    with pytest.raises(UserError, match=rf"a_{kind}\.png is 32x16 .*a\.tif is 32x32"):
        load_cases([bad], size=32)


def test_bad_files_are_named(tmp_path):
    good = case(tmp_path, "good", combined=COMBINED)
    values = case(tmp_path, "values", rv=IMAGE)
    with pytest.raises(UserError, match=r"values_rv\.png holds the unexpected values"):
        load_cases([good, values], size=32)
    good.image.write_bytes(good.image.read_bytes()[:200])
    with pytest.raises(UserError, match=r"good\.tif"):
        load_cases([good], size=32)


def test_combined_masks_without_any_faz_are_refused(tmp_path):
    vessels = np.where(COMBINED == 255, 255, 0).astype(np.uint8)
    files = [case(tmp_path, id_, combined=vessels) for id_ in ("a", "b")]
    with pytest.raises(UserError, match=r"2 combined masks.*a_combined\.png.*to label"):
        load_cases(files, size=32)
    assert len(load_cases([*files, case(tmp_path, "c", combined=COMBINED)], size=32)) == 3


def test_a_bar_appears_only_on_a_terminal_and_when_late(tmp_path, monkeypatch, capsys):
    files = [case(tmp_path, "a", combined=COMBINED)]
    load_cases(files, size=32)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("s2a_jax.data.cases._QUIET_SECONDS", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    load_cases(files, size=32)
    assert "Reading images" in capsys.readouterr().err


def test_a_fingerprint_tells_every_change_apart():
    image, rv, faz = IMAGE, COMBINED == 255, COMBINED == 100
    dot = np.zeros_like(rv)
    dot[3, 5] = True
    nothing = np.zeros_like(rv)
    every = [
        (image, rv, faz), (image, faz, rv), (image ^ dot, rv, faz), (image, rv ^ dot, faz),
        (image, rv, faz ^ dot), (image, None, faz), (image, rv, None), (image, None, None),
        (image, nothing, None), (image, None, nothing), (image.reshape(16, 64), rv, faz),
        (image[..., None].repeat(2, -1), rv, faz),
    ]  # fmt: skip
    assert len({fingerprint(*one) for one in every}) == len(every)
    same = (image / np.float32(255), rv.astype(np.uint8), faz.astype(np.uint8))
    assert fingerprint(*same) == fingerprint(*every[0])
    pixels = [of_pixels(fingerprint(*one)) for one in every]
    assert pixels[0] == pixels[1] == pixels[3] == pixels[5] != pixels[2] and len({*pixels}) == 4
