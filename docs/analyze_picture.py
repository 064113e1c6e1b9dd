"""Draw docs/images/analyze.jpg: `python -m docs.analyze_picture`."""

import tempfile
from pathlib import Path

from PIL import Image

from s2a_jax.cli import run
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye

FIELDS_MM = (3.0, 3.0, 3.0, 4.5, 6.0, 6.0)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        images, out = Path(folder, "images"), Path(folder, "out")
        images.mkdir()
        rows = ["id,um_per_px"]
        for number, field in enumerate(FIELDS_MM, 1):
            eye = synthesize_eye((2026, number), EyeParameters(size=304, field_mm=field))
            Image.fromarray(eye.image).save(images / f"eye{number}.png")
            rows.append(f"eye{number},{1000 * field / 304}")
        (images / "eyes.csv").write_text("\n".join(rows))
        code = run(["analyze", str(images), "--eyes", f"{images}/eyes.csv", "--out", str(out)])
        assert code == 0
        sheet = Image.open(out / "contact_sheet.png").convert("RGB")
    target = Path(__file__).parent / "images/analyze.jpg"
    sheet.save(target, quality=75)
