"""The page in a real Chromium."""

import contextlib
import importlib.util
import io
import re
import shutil
import zipfile
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from s2a_jax.analysis.pictures import png_bytes
from tests.web.client import files_of
from tests.web.fakes import eye_pixels

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MS = 30_000


@pytest.fixture(scope="module")
def chromium():
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("Playwright is not installed: pip install playwright")
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no browser is installed, none of {', '.join(_NAMES)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, server):
    """A function that opens the page for a new user; keyword arguments describe their device."""
    with contextlib.ExitStack() as stack:

        def opened(**device):
            context = chromium.new_context(**device)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(_MS)
            page.asked, page.mistakes = [], []
            page.on("request", lambda request: page.asked.append(request.url))
            page.on("pageerror", lambda error: page.mistakes.append(str(error)))
            page.goto(server.address)
            page.wait_for_selector(".s2a-drop")
            return page

        yield opened


def png(name, pixels):
    return {"name": name, "mimeType": "image/png", "buffer": png_bytes(pixels)}


def choose(page, *files):
    page.locator(".s2a-drop input").set_input_files(list(files))


def analyze(page):
    page.get_by_role("button", name="Analyze").click()


def shown_area(page):
    row = page.get_by_role("row", name=re.compile(r"^FAZ area")).first
    return float(row.locator("td").first.inner_text())


def choose_field(page, text):
    box = page.get_by_label("Field of view")
    box.fill(text)
    box.press("Enter")


def test_upload_overlays_and_downloads(visit, server):
    page = visit()
    choose(page, png("my eye.png", eye_pixels(20)), png("second.png", eye_pixels(30)))
    assert page.locator(".s2a-names").inner_text() == "my eye.png, second.png"
    choose_field(page, "3 mm")
    page.get_by_label("OS", exact=True).check()
    analyze(page)
    page.wait_for_selector(".s2a-eye >> nth=1")
    assert shown_area(page) == pytest.approx((20 * 3 / 96) ** 2, rel=1e-3)
    assert page.get_by_role("row", name="Eye OS").count() == 2

    before = len(page.asked)
    slider = page.get_by_label("FAZ, opacity").first
    slider.fill("100")
    layers = page.locator('.s2a-layer[data-layer="faz"]')
    assert layers.first.evaluate("e => getComputedStyle(e).opacity") == "1"
    assert layers.nth(1).evaluate("e => getComputedStyle(e).opacity") == "0.55"
    assert len(page.asked) == before  # sliding is the browser's work
    with page.expect_download() as download:
        page.get_by_role("button", name="Masks of 2 eyes").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        faz = np.asarray(Image.open(io.BytesIO(archive.read("my eye_faz.png"))))
    np.testing.assert_array_equal(faz, (eye_pixels(20) == 0) * 255)
    for button, name in (("Table (CSV)", "eyes.csv"), ("Report (HTML)", "report.html")):
        with page.expect_download() as download:
            page.get_by_role("button", name=button).click()
        assert download.value.suggested_filename == name

    choose_field(page, "6")  # the files are still chosen, in the browser only
    analyze(page)
    page.wait_for_function("document.querySelector('.s2a-eye').innerText.includes('62.5 µm')")
    assert shown_area(page) == pytest.approx((20 * 6 / 96) ** 2, rel=1e-3)
    assert files_of(server) == []
    hosts = {urlsplit(url).netloc for url in page.asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(server.address).netloc}
    assert page.mistakes == []


def test_files_that_cannot_be_used(visit, server, tmp_path):
    page = visit()
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(50 * 10**6 + 1)
    evil = '<img src=x onerror="document.title=1">.png'
    bad = {"name": evil, "mimeType": "image/png", "buffer": b"no image"}
    choose(page, bad, png("good.png", eye_pixels(20)))
    analyze(page)
    page.wait_for_selector(".s2a-eye")
    alert = page.get_by_role("alert").filter(has_text="has no result")
    assert evil in alert.inner_text() and "is not an image" in alert.inner_text()
    assert page.title() != "1" and page.locator("img[src=x]").count() == 0
    for files, sentence in (
        ([], "There is no image yet"),
        ([png(f"{n}.png", eye_pixels(20)) for n in range(21)], "21 files at once, at most 20"),
        ([large], "large.png has more than 50 MB"),
    ):
        choose(page, *files)
        analyze(page)
        page.get_by_text(sentence).first.wait_for()
    assert files_of(server) == []


def test_two_users_at_once(visit):
    users = {12: visit(), 36: visit()}
    for side, page in users.items():
        choose(page, png("eye.png", eye_pixels(side)))
        choose_field(page, "3 mm")
    for page in users.values():
        analyze(page)
    for side, page in users.items():
        page.wait_for_selector(".s2a-eye")
        assert shown_area(page) == pytest.approx((side * 3 / 96) ** 2, rel=1e-3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_and_dark_mode(visit, scheme):
    page = visit(viewport={"width": 375, "height": 700}, has_touch=True, color_scheme=scheme)
    page.get_by_role("button", name="Synthetic eye, 3 mm").tap()
    page.wait_for_selector(".s2a-eye")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    form = page.locator("#s2a-choices")
    left, width = (form.bounding_box()[side] for side in ("x", "width"))
    for text in ("Field of view", "OS", "Average over"):  # the whole form can be seen
        box = form.get_by_text(text).first.bounding_box()
        assert left <= box["x"] and box["x"] + box["width"] <= left + width, text
    stack, numbers = (page.locator(one).bounding_box() for one in (".s2a-stack", ".s2a-numbers"))
    assert stack["width"] > 300 and numbers["y"] > stack["y"] + stack["height"]
    assert page.locator(".s2a-slider input").first.bounding_box()["height"] >= 24
    for selector in (".s2a-eye td", ".s2a-eye small", ".s2a-level", ".s2a-drop small"):
        assert _contrast(page, selector) >= 4.5, selector  # WCAG 2, level AA
    is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", is_dark)[:3])) < 80) == (scheme == "dark")


def _contrast(page, selector):
    """Contrast of text with the background behind it, as WCAG defines it."""
    colours = page.locator(selector).first.evaluate(
        """element => {
          const text = getComputedStyle(element).color;
          const clear = (c) => c === "transparent" || c === "rgba(0, 0, 0, 0)";
          while (clear(getComputedStyle(element).backgroundColor)) element = element.parentElement;
          return [text, getComputedStyle(element).backgroundColor];
        }"""
    )
    lights = []
    for colour in colours:
        rgb = np.array([float(part) for part in re.findall(r"[\d.]+", colour)[:3]]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ (0.2126, 0.7152, 0.0722)))
    return (max(lights) + 0.05) / (min(lights) + 0.05)
