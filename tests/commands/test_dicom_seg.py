"""DICOM Segmentations: `analyze` and `predict` with --dicom-seg, read back."""

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from s2a_jax import __version__
from s2a_jax.analysis.dicom_seg import Algorithm, in_file, segmentation
from s2a_jax.cli import run as main
from s2a_jax.errors import UserError
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.dicom_source import read_sources
from s2a_jax.inputs.picture import Place
from tests.inputs.eyes import draw_eye
from tests.inputs.files import write_dicom

pytestmark = pytest.mark.usefixtures("intensity_network")

STUDY = generate_uid()
PATIENT = {
    "SpecificCharacterSet": "ISO_IR 100",
    "PatientName": "Müller^Änne",
    "PatientID": "4711",
    "PatientBirthDate": "19500131",
    "PatientSex": "F",
    "PatientAge": "070Y",
    "StudyInstanceUID": STUDY,
    "StudyDate": "20200102",
    "StudyTime": "101112",
    "StudyDescription": "OCTA",
    "AccessionNumber": "A1",
}


def write_eye(path, pixels=None, **elements):
    pixels = draw_eye(1, 96, dark=240)[0] if pixels is None else pixels
    elements = {"SeriesInstanceUID": generate_uid(), **PATIENT, **elements}
    return write_dicom(path, pixels, **{k: v for k, v in elements.items() if v is not None})


def run(tmp_path, *more, command="analyze"):
    weights = ["--weights", "sim_to_real"]
    flags = [command, *weights, "--dicom-seg", "--out", tmp_path / "out", *more]
    return main([*map(str, flags)])


def mask_at(path):
    return np.asarray(Image.open(path)) > 0


def code(sequence):
    (item,) = sequence
    return item.CodingSchemeDesignator, item.CodeValue


@pytest.mark.parametrize("command", ["analyze", "predict"])
def test_masks_references_and_descriptions(tmp_path, command):
    spacing = {"PixelSpacing": [0.0125, 0.0125], "ImageLaterality": "L"}
    source = dcmread(write_eye(tmp_path / "eye.dcm", **spacing))
    assert run(tmp_path, tmp_path / "eye.dcm", "--threshold", 0.3, command=command) == 0
    data = dcmread(tmp_path / "out/eye_seg.dcm")
    assert data.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4" and data.Modality == "SEG"
    assert data.SOPInstanceUID == data.file_meta.MediaStorageSOPInstanceUID
    for name, value in PATIENT.items():
        assert data.get(name) == value, name
    empty = ("ReferringPhysicianName", "StudyID", "PatientOrientation")
    assert [data[name].value for name in empty] == ["", "", ""] and data.ImageLaterality == "L"
    assert "FrameOfReferenceUID" not in data and data.SeriesInstanceUID != source.SeriesInstanceUID
    rv, faz = (mask_at(tmp_path / f"out/eye_{task}.png") for task in ("rv", "faz"))
    assert (rv & faz).any() and data.SegmentsOverlap == "YES"
    assert (data.pixel_array == np.stack([rv, faz])).all()
    vessels, zone = data.SegmentSequence
    assert (vessels.SegmentLabel, zone.SegmentLabel) == ("Retinal vessels", "Foveal avascular zone")
    assert code(vessels.SegmentedPropertyTypeCodeSequence) == ("SCT", "59820001")
    assert code(vessels.AnatomicRegionSequence) == ("SCT", "5665001")
    assert code(zone.SegmentedPropertyTypeCodeSequence) == ("99S2AJAX", "FAZ")
    assert code(zone.AnatomicRegionSequence) == ("SCT", "67046006")
    fingerprint = Segmenter.pretrained().fingerprint()
    for number, segment in enumerate(data.SegmentSequence, 1):
        assert (segment.SegmentNumber, segment.SegmentAlgorithmType) == (number, "AUTOMATIC")
        assert code(segment.SegmentedPropertyCategoryCodeSequence) == ("SCT", "91723000")
        side = segment.AnatomicRegionSequence[0].AnatomicRegionModifierSequence
        assert code(side) == ("SCT", "7771000")
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert algorithm.AlgorithmVersion == __version__
        assert algorithm.AlgorithmParameters == f"weights={fingerprint},threshold=0.3,tta=false"
    (series,) = data.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    references = [*series.ReferencedInstanceSequence]
    for number, frame in enumerate(data.PerFrameFunctionalGroupsSequence, 1):
        assert frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number
        assert frame.FrameContentSequence[0].DimensionIndexValues == number
        references += frame.DerivationImageSequence[0].SourceImageSequence
    for item in references:
        assert item.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert item.ReferencedSOPClassUID == source.SOPClassUID


def test_highdicom_reads_it(tmp_path):
    highdicom = pytest.importorskip("highdicom", reason="comes with the extra dev")
    for name, sop_class in (("en face", None), ("capture", SecondaryCaptureImageStorage)):
        elements = {"SOPClassUID": sop_class} if sop_class else {}
        # 95x97 pixels: a frame ends within a byte.
        source = write_eye(tmp_path / f"{name}.dcm", draw_eye(1, 97, dark=240)[0][:95], **elements)
        assert run(tmp_path, source, "--um-per-px", 12.5) == 0
        data = highdicom.seg.segread(tmp_path / f"out/{name}_seg.dcm")
        assert [*data.segment_numbers] == [1, 2]
        assert data.get_segment_description(2).anatomic_regions[0].meaning == "Fovea centralis"
        parameters = data.get_segment_description(1).algorithm_identification.parameters
        assert parameters.keys() == {"weights", "threshold", "tta"}
        uid = dcmread(source).SOPInstanceUID
        ((_, _, referenced),) = data.get_source_image_uids()
        assert referenced == uid
        pixels = data.get_pixels_by_source_instance([uid])[0]  # [H, W, segments]
        for i, task in enumerate(("rv", "faz")):
            assert (pixels[..., i] == mask_at(tmp_path / f"out/{name}_{task}.png")).all()


def test_pixels_of_the_file_where_a_frame_was_cut_off(tmp_path):
    pixels = np.full((140, 130), 255, np.uint8)
    pixels[30:126, 12:108] = draw_eye(3, 96)[0]
    source = write_eye(tmp_path / "shot.dcm", pixels, ImageLaterality="R")
    assert run(tmp_path, source, "--um-per-px", 12.5) == 0
    data = dcmread(tmp_path / "out/shot_seg.dcm")
    rv = mask_at(tmp_path / "out/shot_rv.png")
    assert rv.shape == (96, 96) and rv.any()
    expected = np.zeros((140, 130), bool)
    expected[30:126, 12:108] = rv
    assert (data.pixel_array[0] == expected).all()


def test_pixels_of_the_file_where_they_are_not_square(tmp_path):
    wide = draw_eye(1, 96, dark=240)[0][::2]  # 48 rows, pixels twice as high as wide
    source = write_eye(tmp_path / "eye.dcm", wide, PixelSpacing=[0.025, 0.0125])
    assert run(tmp_path, source) == 0
    data = dcmread(tmp_path / "out/eye_seg.dcm")
    assert mask_at(tmp_path / "out/eye_rv.png").shape == (96, 96)
    assert (data.Rows, data.Columns) == (48, 96)
    # The network's probability is the intensity, which resampling changes near edges only.
    found, expected = data.pixel_array[0] > 0, wide >= 128
    assert 0.1 < expected.mean() < 0.9 and (found == expected).mean() > 0.95


def test_a_cut_frame_and_pixels_that_are_not_square():
    """A cut and a resampling may undo each other's change of the size."""
    square = np.zeros((8, 6), bool)  # made of the rows 2 to 6 of 8, twice as high as wide
    square[2:4, 1] = True
    expected = np.zeros((8, 6), bool)
    expected[3, 1] = True
    assert (in_file(square, Place((8, 6), slice(2, 6), slice(0, 6))) == expected).all()


def test_slabs_of_one_eye_are_all_referred_to(tmp_path):
    paths = [write_eye(tmp_path / f"{name}.dcm") for name in ("superficial", "deep")]
    mask = np.zeros((96, 96), bool)
    algorithm = Algorithm("small", "1.2", ("abc", "def"), 0.5, True)
    data = segmentation({"rv": mask, "faz": mask}, read_sources(paths), None, algorithm)
    expected = [dcmread(path).SOPInstanceUID for path in paths]
    images = data.PerFrameFunctionalGroupsSequence[1].DerivationImageSequence[0].SourceImageSequence
    assert [image.ReferencedSOPInstanceUID for image in images] == expected
    found = [item.ReferencedInstanceSequence for item in data.ReferencedSeriesSequence]
    assert [item.ReferencedSOPInstanceUID for (item,) in found] == expected
    assert "ImageLaterality" not in data and data.SegmentsOverlap == "NO"
    Image.fromarray(np.uint8(mask)).save(tmp_path / "deep.png")
    assert read_sources([paths[0], tmp_path / "deep.png"]) == ()
    write_eye(paths[1], StudyInstanceUID=generate_uid())
    with pytest.raises(UserError, match=r"superficial\.dcm and .*deep\.dcm belong to two studies"):
        read_sources(paths)


def test_a_task_without_masks_has_no_segment(tmp_path, monkeypatch):
    load = Segmenter.load_from_checkpoint.__func__

    def vessels_only(cls, *arguments):
        model = load(cls, *arguments)
        model.tasks = ("rv",)
        return model

    monkeypatch.setattr(Segmenter, "load_from_checkpoint", classmethod(vessels_only))
    assert run(tmp_path, write_eye(tmp_path / "eye.dcm"), command="predict") == 0
    data = dcmread(tmp_path / "out/eye_seg.dcm")
    assert [segment.SegmentLabel for segment in data.SegmentSequence] == ["Retinal vessels"]
    assert (data.pixel_array == mask_at(tmp_path / "out/eye_rv.png")).all()


@pytest.mark.parametrize("command", ["analyze", "predict"])
def test_resuming_and_images_that_are_no_dicom_files(tmp_path, capsys, computed, command):
    folder = tmp_path / "in"
    folder.mkdir()
    write_eye(folder / "a.dcm")
    Image.fromarray(draw_eye(2, 96)[0]).save(folder / "b.png")
    line = ("--um-per-px", 12.5, "--out", folder)
    assert run(tmp_path, folder, *line, command=command) == 0
    assert not (folder / "b_seg.dcm").exists() and len(computed) > 0
    said = "No DICOM segmentation of 1 image that is no DICOM file"
    assert f"{said}: {folder / 'b.png'}" in capsys.readouterr().out
    computed.clear()
    assert run(tmp_path, folder, *line, command=command) == 0  # a_seg.dcm is no image
    assert computed == []
    (folder / "a_seg.dcm").unlink()
    assert run(tmp_path, folder, *line, command=command) == 0
    assert sum(computed) == 1 and (folder / "a_seg.dcm").exists()
    capsys.readouterr()
    plain = [command, "--weights", "sim_to_real", "--um-per-px", "12.5", "--out", str(folder)]
    assert main([*plain, str(folder)]) == 2
    assert "were made with --dicom-seg; give another folder" in capsys.readouterr().err
    assert run(tmp_path, folder / "b.png", command=command) == 2
    assert "--dicom-seg: none of the images is a DICOM file" in capsys.readouterr().err


def test_files_that_no_segmentation_can_refer_to(tmp_path, capsys):
    write_eye(tmp_path / "in.dcm")
    write_eye(tmp_path / "lost.dcm", StudyInstanceUID=None)
    assert run(tmp_path, *tmp_path.glob("*.dcm"), "--um-per-px", 12.5) == 1
    assert "lost.dcm lacks the attribute StudyInstanceUID" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").glob("*.dcm")] == ["in_seg.dcm"]


def test_values_that_break_the_standard_are_copied(tmp_path):
    physician = Dataset()
    physician.InstitutionName = "Klinik"
    source = write_eye(
        tmp_path / "old.dcm",
        PatientSex="U",
        PatientBirthDate="",
        SpecificCharacterSet=None,
        PatientName="",
        ReferringPhysicianIdentificationSequence=[physician],
        SOPClassUID="1.2.3.4",
    )
    content = source.read_bytes().replace(b"20200102", b"02.01.20").replace(b"OCTA", b"\xd6ct\xe4")
    source.write_bytes(content)
    assert run(tmp_path, source, "--um-per-px", 12.5) == 0
    data = dcmread(tmp_path / "out/old_seg.dcm")
    assert (data.PatientSex, data.PatientID) == ("U", "4711")
    assert data.ReferringPhysicianIdentificationSequence[0].InstitutionName == "Klinik"
    raw = (tmp_path / "out/old_seg.dcm").read_bytes()
    assert b"02.01.20" in raw and "Öctä".encode("latin-1") in raw
