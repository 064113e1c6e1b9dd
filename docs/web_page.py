"""Draw docs/images/serve*.jpg with Playwright and Chromium: `python -m docs.web_page`."""

import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from s2a_jax.analysis.model import S2ANet
from s2a_jax.web.app import served

IMAGES = Path(__file__).parent / "images"


def picture(browser: Browser, address: str, button: str, **device: Any) -> Image.Image:
    """The page after a click on a synthetic eye."""
    page = browser.new_context(**device).new_page()
    page.goto(address)
    page.get_by_role("button", name=button).click()
    page.wait_for_selector(".s2a-eye", timeout=180_000)
    page.get_by_label("Uncertainty, opacity").fill("70")
    page.wait_for_timeout(500)
    return Image.open(BytesIO(page.screenshot())).convert("RGB")


if __name__ == "__main__":
    program = shutil.which("chromium") or shutil.which("google-chrome")
    network = S2ANet.pretrained()
    with served(network, host="127.0.0.1", port=None) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        desk = {"width": 1100, "height": 1020}
        wide = picture(browser, address, "Synthetic eye, 6 mm", viewport=desk)
        phone = {"width": 390, "height": 1360}
        narrow = picture(
            browser, address, "Synthetic eye, 3 mm", viewport=phone, color_scheme="dark"
        )
        wide.save(IMAGES / "serve.jpg", quality=75)
        narrow.save(IMAGES / "serve_phone.jpg", quality=75)
