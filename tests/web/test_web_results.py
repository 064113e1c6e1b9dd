"""The fragment about a request: overlays, numbers with their sources, and downloads."""

import base64
import csv
import io
import re
import zipfile
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from s2a_jax.analysis.reference_ranges import REFERENCES, without_range
from s2a_jax.biomarkers.measure import is_biomarker, measure
from s2a_jax.inputs.names import file_name_of
from s2a_jax.web import results as results_module
from s2a_jax.web.eyes import Choices, analyze_uploads
from s2a_jax.web.results import message_html, results_html
from s2a_jax.web.uploads import Upload
from tests.inputs.files import write_dicom
from tests.web.fakes import SIDE, KnownNetwork, eye_pixels

EVIL = '<img src=x onerror="alert(1)">&.png'


class Page(HTMLParser):
    """Tags with their attributes, and the text, of a fragment."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def having(self, name, value):
        return [attributes for _, attributes in self.tags if attributes.get(name) == value]

    def download(self, name):
        (button,) = self.having("data-name", name)
        return base64.b64decode(button["data-content"])


def picture(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


@pytest.fixture
def eyes(tmp_path):
    """Two eyes, the first with a name that is HTML, and a file without a result."""
    sent = []
    for number, name in enumerate((EVIL, "second.png", "bad.png")):
        path = tmp_path / f"{number}.png"
        Image.fromarray(eye_pixels(20 + 10 * number)).save(path)
        sent.append(Upload(path, name))
    sent[2].path.write_bytes(b"\x89PNG\r\n\x1a\n")
    return list(analyze_uploads(KnownNetwork(), sent, Choices(3.0, "OS")))


def test_names_are_text(eyes):
    page = Page(results_html(eyes))
    assert EVIL in page.text
    assert not [a for _, a in page.tags if "onerror" in a or a.get("src") == "x"]
    report = Page(page.download("report.html").decode())
    assert EVIL in report.text and not [a for _, a in report.tags if "onerror" in a]
    assert "bad.png has no result" in page.text and "bad.png" in report.text
    assert not [tag for tag, _ in Page(message_html("<script>")).tags if tag == "script"]


def test_text_of_a_dicom_file_is_text_and_names_nobody(tmp_path):
    """A value that is HTML is shown as text in the reason; patients are not mentioned."""
    path = tmp_path / "eye.dcm"
    named = {"PatientName": "Doe^Jane", "PatientID": "4711", "PixelSpacing": [0.012, 0.011]}
    write_dicom(path, eye_pixels(20), **named)
    path.write_bytes(path.read_bytes().replace(b"0.012\\0.011", b"<b id=a>x  "))
    html = results_html(analyze_uploads(KnownNetwork(), [Upload(path, "eye.dcm")], Choices()))
    page = Page(html)
    assert "<b id=a>x" in page.text and "PixelSpacing" in page.text
    assert not [tag for tag, _ in page.tags if tag == "b"]
    assert "Doe" not in html and "4711" not in html


def test_layers_lie_over_the_image_pixel_by_pixel(eyes):
    page = Page(results_html(eyes[:1]))
    rv, faz = (page.having("data-layer", kind)[0]["src"] for kind in ("rv", "faz"))
    analysis = eyes[0].analysis
    np.testing.assert_array_equal(picture(rv)[..., 3], analysis.rv * 255)
    np.testing.assert_array_equal(picture(faz)[..., 3], analysis.faz * 255)
    doubt = picture(page.having("data-layer", "doubt")[0]["src"])[..., 3]
    bits = -(0.9 * np.log2(0.9) + 0.1 * np.log2(0.1))
    assert np.all(doubt[analysis.faz] == round(255 * bits))
    base = picture(next(a["src"] for tag, a in page.tags if tag == "img"))
    np.testing.assert_array_equal(base, eye_pixels(20))
    sliders = [a["data-layer"] for tag, a in page.tags if tag == "input" and a["type"] == "range"]
    assert sliders == ["rv", "faz", "doubt"]


def test_large_pictures_are_shrunk_for_the_screen_only(eyes, monkeypatch):
    monkeypatch.setattr(results_module, "_SHOWN_SIDE", SIDE // 2)
    page = Page(results_html(eyes))
    assert picture(page.having("data-layer", "rv")[0]["src"]).shape == (48, 48, 4)
    with zipfile.ZipFile(io.BytesIO(page.download("masks.zip"))) as archive:
        with archive.open("second_rv.png") as file:
            assert Image.open(file).size == (SIDE, SIDE)


def test_downloads_hold_the_masks_and_numbers(eyes):
    page = Page(results_html(eyes))
    with zipfile.ZipFile(io.BytesIO(page.download("masks.zip"))) as archive:
        kinds = [
            f"{file_name_of(e.id)}_{k}.png" for e in eyes[:2] for k in ("rv", "faz", "overlay")
        ]
        assert archive.namelist() == kinds and not re.search(r"[<>/]", "".join(kinds))
        with archive.open("second_faz.png") as file:
            faz = np.asarray(Image.open(file))
    np.testing.assert_array_equal(faz, (eye_pixels(30) == 0) * 255)
    table = list(csv.DictReader(io.StringIO(page.download("eyes.csv").decode())))
    assert [row["id"] for row in table] == [EVIL.removesuffix(".png"), "second"]
    assert float(table[1]["faz_area_mm2"]) == pytest.approx((30 * 3 / SIDE) ** 2, rel=1e-5)
    assert (table[1]["laterality"], table[1]["pitch_source"]) == ("OS", "field of view")


def test_every_biomarker_has_a_range_with_its_source_or_the_reason_why_not(eyes):
    mask = np.zeros((SIDE, SIDE), bool)
    names = [name for name in measure(mask, mask, um_per_px=10) if is_biomarker(name)]
    for name in names:
        assert bool(REFERENCES.get(name)) != bool(without_range(name)), name
    page = Page(results_html(eyes))
    for one in REFERENCES["faz_area_mm2"]:
        assert one.source in page.text
        assert page.having("href", f"https://doi.org/{one.doi}")
        assert f"{one.mean - 1.96 * one.sd:.2f} to {one.mean + 1.96 * one.sd:.2f}" in page.text
    assert without_range("vessel_density") in page.text


def test_nothing_is_loaded_from_elsewhere(eyes):
    page = Page(results_html(eyes))
    report = Page(page.download("report.html").decode())
    for attributes in [a for one in (page, report) for _, a in one.tags]:
        assert attributes.get("src", "data:").startswith("data:")
