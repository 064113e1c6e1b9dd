"""What the page accepts, reads and deletes; without Gradio."""

import os
import time

import numpy as np
import pytest
from PIL import Image

from s2a_jax.errors import UserError
from s2a_jax.web import uploads
from s2a_jax.web.examples import EXAMPLES
from s2a_jax.web.eyes import Choices, Failure, analyze_example, analyze_uploads, parse_choices
from s2a_jax.web.uploads import (
    CLAIMED,
    Upload,
    check_uploads,
    claimed,
    ids_of,
    read_upload,
    remove_left,
)
from tests.inputs.files import write_dicom
from tests.web.fakes import SIDE, KnownNetwork, eye_pixels

FAZ_SIDE = 20  # px


def sent_file(folder, name, pixels=None, **options):
    """A file as Gradio stores it, in a folder of its own, and as the browser names it."""
    path = folder / "0123" / f"abcd-{name}"
    path.parent.mkdir(exist_ok=True)
    pixels = eye_pixels(FAZ_SIDE) if pixels is None else pixels
    if name.endswith(".dcm"):
        write_dicom(path, pixels, **options)
    else:
        Image.fromarray(pixels).save(path, **options)
    return Upload(path, name)


FILES = {
    "png": ("eye.png", {}, None, None),
    "jpeg": ("eye.jpg", {"quality": 100}, None, None),
    "tiff": ("eye.tif", {"resolution": 1000, "resolution_unit": 3}, 10.0, None),  # 1000 per cm
    "dicom": ("eye.dcm", {"PixelSpacing": [0.01, 0.01], "ImageLaterality": "L",
                          "PatientName": "Doe^Jane", "PatientID": "4711"}, 10.0, "OS"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_pitch_and_laterality_come_from_the_file_and_nothing_else_does(tmp_path, kind):
    name, options, pitch, laterality = FILES[kind]
    upload = sent_file(tmp_path, name, **options)
    (eye,) = analyze_uploads(KnownNetwork(), [upload], Choices())
    assert (eye.id, eye.name) == ("eye", name)
    facts = eye.analysis.eye
    assert facts.um_per_px == (None if pitch is None else pytest.approx(pitch))
    assert facts.laterality == laterality
    if pitch is None:
        assert eye.analysis.biomarkers == {}
    else:
        area = (FAZ_SIDE * pitch / 1000) ** 2
        assert eye.analysis.biomarkers["faz_area_mm2"] == pytest.approx(area)
        assert "vessel_density_etdrs_inner_nasal" in eye.analysis.biomarkers or laterality is None
    assert "Doe" not in repr((eye.analysis.row(), eye.analysis.notes))
    assert list(tmp_path.iterdir()) == []  # the file, and the folder around it


@pytest.mark.parametrize(
    ("field", "mm"), [("6 mm", 6), ("2.4 mm", 2.4), ("5,1", 5.1), (" 3 MM", 3), (4.5, 4.5)]
)
def test_the_chosen_field_comes_before_the_file(tmp_path, field, mm):
    upload = sent_file(tmp_path, "eye.tif", resolution=1000, resolution_unit=3)
    choices = parse_choices(field, "OD", False)
    (eye,) = analyze_uploads(KnownNetwork(), [upload], choices)
    assert eye.analysis.eye.um_per_px == pytest.approx(mm * 1000 / SIDE)
    assert eye.analysis.eye.laterality == "OD"
    area = (FAZ_SIDE * mm / SIDE) ** 2
    assert eye.analysis.biomarkers["faz_area_mm2"] == pytest.approx(area)


def test_nothing_chosen_means_the_file():
    assert parse_choices("from the file", "unknown", None) == Choices(None, None, False)
    assert parse_choices(None, None, True) == Choices(None, None, True)


@pytest.mark.parametrize("field", ["large", "nan", "0.5 mm", "3000"])
def test_a_field_that_cannot_be_is_refused(field):
    with pytest.raises(UserError, match=r"expected 1 to 30 mm"):
        parse_choices(field, "OD", False)


def test_one_bad_file_does_not_stop_the_others(tmp_path):
    good = sent_file(tmp_path, "good.png")
    text, wide = tmp_path / "0123/t-notes.png", sent_file(tmp_path, "wide.png", eye_pixels(20)[:60])
    text.write_text("no image")
    left = sent_file(tmp_path, "left.dcm", ImageLaterality="L")
    sent = [Upload(text, "notes.png"), good, wide, left]
    steps = []
    found = list(analyze_uploads(KnownNetwork(), sent, Choices(3.0, "OD"), steps.append))
    assert [one.name for one in found] == [upload.name for upload in sent]
    assert [isinstance(one, Failure) for one in found] == [True, False, True, True]
    reasons = [one.reason for one in found if isinstance(one, Failure)]
    assert reasons[0].startswith("notes.png is not an image") and str(tmp_path) not in reasons[0]
    assert "96x60 pixels" in reasons[1] and "3 mm is square" in reasons[1]
    assert "The file says OS, but OD is chosen" in reasons[2]
    assert steps == [0, 1, 2, 3]
    assert list(tmp_path.iterdir()) == []


def test_our_own_mistakes_leave_no_file_either(tmp_path):
    sent = [sent_file(tmp_path, "a.png"), sent_file(tmp_path, "b.png")]
    with pytest.raises(ZeroDivisionError):
        list(analyze_uploads(KnownNetwork(wait=lambda: 1 / 0), sent, Choices()))
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_is_given_up_leaves_no_file(tmp_path):
    sent = [sent_file(tmp_path, "a.png"), sent_file(tmp_path, "b.png")]
    found = analyze_uploads(KnownNetwork(), sent, Choices())
    next(found)
    assert [upload.path.exists() for upload in sent] == [False, True]
    found.close()
    assert list(tmp_path.iterdir()) == []


def test_the_frame_of_a_screenshot_is_cut_off(tmp_path):
    framed = np.full((140, 150), 255, np.uint8)
    framed[20 : 20 + SIDE, 30 : 30 + SIDE] = eye_pixels(FAZ_SIDE)
    contents = read_upload(sent_file(tmp_path, "screen.png", framed))
    assert contents.size == (SIDE, SIDE)
    assert "a frame was cut off" in contents.notes[0].text


def test_a_request_has_its_files_for_itself(tmp_path):
    """Two files of one name keep theirs, and what lay where they were is gone."""
    own = tmp_path / "own"
    own.mkdir()
    first, second = sent_file(tmp_path, "a.png"), tmp_path / "4567/abcd-a.png"
    second.parent.mkdir()
    second.write_bytes(b"second")
    contents = first.path.read_bytes()
    moved = claimed([first, Upload(second, "a.png")], own)
    assert [upload.path.read_bytes() for upload in moved] == [contents, b"second"]
    assert [upload.name for upload in moved] == ["a.png", "a.png"]
    assert list(tmp_path.iterdir()) == [own]


def test_limits(tmp_path, monkeypatch):
    upload = sent_file(tmp_path, "large.png")
    monkeypatch.setattr(uploads, "MOST_SIDE", SIDE - 1)
    with pytest.raises(UserError, match=r"^large.png has 96x96 pixels, at most 95 a side"):
        read_upload(upload)
    monkeypatch.setattr(uploads, "MOST_MB", 0.001)
    with pytest.raises(UserError, match=r"^large.png has more than 0.001 MB"):
        read_upload(upload)
    sent = [{"path": str(upload.path), "orig_name": upload.name}]
    assert check_uploads(sent, tmp_path) == [upload]
    with pytest.raises(UserError, match=r"^21 files at once, at most 20"):
        check_uploads(sent * 21, tmp_path)
    with pytest.raises(UserError, match="no image yet"):
        check_uploads([], tmp_path)


def test_a_file_that_is_named_twice_is_read_once(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    upload = sent_file(tmp_path, "a.png")
    roundabout = tmp_path / "own/.." / upload.path.relative_to(tmp_path)
    sent = [{"path": str(path), "orig_name": "a.png"} for path in (upload.path, roundabout)]
    (moved,) = claimed(check_uploads(sent, tmp_path), own)
    assert moved.path.is_file() and moved.name == "a.png"
    gone = {"path": str(tmp_path / "gone.png")}
    with pytest.raises(UserError, match="1 file did not arrive"):
        check_uploads([{"path": str(moved.path)}, {"path": str(moved.path)}, gone], tmp_path)


@pytest.mark.parametrize("sent", ["a", {"path": "a"}])
def test_what_is_no_list_of_uploads(tmp_path, sent):
    with pytest.raises(UserError, match="expected a list of uploads"):
        check_uploads(sent, tmp_path)


def test_files_of_the_server_are_no_uploads(tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"x")
    for path in (secret, None, folder / "../secret.png", folder / "gone.png"):
        with pytest.raises(UserError, match="1 file did not arrive"):
            check_uploads([{"path": str(path)}], folder)
    assert secret.exists()


def test_ids_differ():
    names = ["a.png", "A.tif", "a.dcm", "ü 1.png", "a-2.png"]
    assert ids_of(names) == ["a", "A-2", "a-3", "ü 1", "a-2-2"]


def test_the_examples_are_eyes():
    eye = analyze_example(KnownNetwork(), EXAMPLES[0], tta=False)
    assert eye.analysis.eye.um_per_px == pytest.approx(3000 / 304)
    assert eye.analysis.eye.laterality == "OD"
    assert eye.analysis.picture.shape == (304, 304)


def test_uploads_that_nobody_reads_are_deleted_by_their_age(tmp_path):
    ages = {
        "broken": 700, "arriving": 500, "abc/abandoned.png": 4000, "abc/waiting.png": 3000,
        f"{CLAIMED}x/at_work.png": 9000,
    }  # fmt: skip
    for name, age in ages.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        os.utime(path, (time.time() - age,) * 2)
    remove_left(tmp_path, 600.0, 3600.0)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"arriving", "abc/waiting.png", f"{CLAIMED}x/at_work.png"}
