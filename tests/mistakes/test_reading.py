"""Any content of a file is either read right or refused with a `UserError`."""

import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement

from s2a_jax.convert.weights import parse_description
from s2a_jax.errors import UserError
from s2a_jax.inputs import dicom as dicom_files
from s2a_jax.inputs.eye_table import read_eyes
from s2a_jax.inputs.images import read_image
from s2a_jax.models.build import build_network
from tests.inputs.files import RAMP, dicom
from tests.mistakes.bad_images import GREY, PNG, TIFF, dicom_bytes

# The same few examples in every run; each reads a file.
FEW = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
FILES = {"eye.png": PNG, "eye.tif": TIFF, "eye.dcm": dicom_bytes()}


def read(path, content):
    """The image in a file with this content; None if it is refused, with the file's name."""
    path.write_bytes(content)
    try:
        return read_image(path)
    except UserError as error:
        assert path.name in str(error)
        return None


@pytest.mark.parametrize("name", FILES)
@FEW
@given(data=st.data())
def test_damaged_images(tmp_path, name, data):
    """Changed, cut or doubled bytes give an image in [0, 1], or a sentence."""
    content = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(start + 40, len(content))))
        content[start:end] = data.draw(st.binary(max_size=40))
    image = read(tmp_path / name, bytes(content))
    if image is not None:
        assert image.dtype == np.float32 and image.ndim == 2 and image.size
        assert 0 <= image.min() <= image.max() <= 1  # also false for NaN


@FEW
@given(
    pixels=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1)),
    kind=st.sampled_from(["PNG", "TIFF", "BMP", "DICOM"]),
    depth=st.sampled_from([np.uint8, np.uint16]),
)
def test_images_of_any_size_are_read_exactly(tmp_path, pixels, kind, depth):
    height, width, seed = pixels
    if kind == "BMP":
        depth = np.uint8
    most = np.iinfo(depth).max
    values = np.random.default_rng(seed).integers(0, most + 1, (height, width), depth)
    if kind == "DICOM":
        content = dicom_bytes(values)
    else:
        file = io.BytesIO()
        Image.fromarray(values).save(file, kind)
        content = file.getvalue()
    found = read(tmp_path / "eye", content)
    np.testing.assert_allclose(found, values / most, atol=1e-7)


NUMBERS = st.one_of(st.integers(-2, 70_000), st.floats(width=32), st.sampled_from([0, 1, 8, 16]))
VALUES = st.one_of(
    NUMBERS, st.lists(NUMBERS, max_size=4), st.text(max_size=6), st.binary(max_size=6)
)


@FEW
@given(name=st.sampled_from(dicom_files._USED), value=VALUES)
def test_attributes_of_dicom_images(tmp_path, name, value):
    """An attribute with any value is used, or refused; pydicom writes what it can."""
    data = dicom(RAMP)
    kind = dictionary_VR(name)
    try:
        data.add(DataElement(tag_for_keyword(name), kind.split(" ")[0], value))
        file = io.BytesIO()
        data.save_as(file, enforce_file_format=True)
    except Exception:  # a value that cannot be written is not in any file
        return
    image = read(tmp_path / "eye.dcm", file.getvalue())
    if image is not None:
        assert image.ndim == 2 and 0 <= image.min() <= image.max() <= 1


CELLS = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["id", "um_per_px", "laterality", "axial_length_mm", "field_mm", "OD", "10", "10,5", "1e9", ""]
)


@FEW
@given(
    rows=st.lists(st.lists(CELLS, max_size=4), max_size=4),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    header=st.booleans(),
)
def test_tables_of_any_cells(tmp_path, rows, separator, codec, header):
    lines = ["id,um_per_px".replace(",", separator)] * header
    text = "\n".join([*lines, *(separator.join(row) for row in rows)])
    (tmp_path / "eyes.csv").write_bytes(text.encode(codec, errors="replace"))
    try:
        table = read_eyes(tmp_path / "eyes.csv")
    except UserError as error:
        assert "eyes.csv" in str(error)
        return
    assert table.rows and all(table.rows)
    for row in table.rows.values():
        assert row.um_per_px is None or isinstance(row.um_per_px, float)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
FIELDS = ("widths", "heads", "slabs", "dtype", "first_channels", "decoder_channels", "parent")


@FEW
@given(
    given_values=st.fixed_dictionaries(
        {},
        optional={
            "network": JSON | st.just("unet"),
            "fields": JSON | st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=2),
            "slab": JSON,
            "pitches_um": JSON | st.just([9.0, 12.0]),
            "tasks": JSON | st.just(["rv"]),
        },
    )
)
def test_metadata_of_weights(tmp_path, given_values):
    """Any JSON describes a network that can be built, or is refused."""
    values = json.loads(json.dumps(given_values))
    try:
        described = parse_description(values, tmp_path / "w.safetensors")
        module = build_network(described.network, described.fields)
    except UserError:
        return
    assert described.network == "unet"
    assert len(module.widths) == 5 and all(width > 0 for width in module.widths)


def test_the_corpus_image_itself_is_read(tmp_path):
    for name, content in FILES.items():
        expected = RAMP if name == "eye.dcm" else GREY
        np.testing.assert_allclose(read(tmp_path / name, content), expected / 255, atol=1e-7)
