"""Draw docs/images/synthetic_eyes.jpg: `python -m docs.synthetic_eyes`."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from s2a_jax.data.synthesis import Eye, EyeParameters, synthesize_eye

ARTERY, VEIN, FAZ = (255, 70, 70), (90, 90, 255), (70, 170, 255)


def panels(eye: Eye) -> np.ndarray:
    """Superficial slab, deep slab, labels and radius on the axes, side by side: [H, 4 W, 3]."""
    superficial, deep = (np.repeat(x[..., None], 3, axis=-1) for x in (eye.image, eye.deep))
    labels = superficial // 3
    for where, colour in (
        (eye.faz, FAZ),
        (eye.vessel_class == 1, ARTERY),
        (eye.vessel_class == 2, VEIN),
    ):
        labels[where] = colour
    radius = ndimage.grey_dilation(eye.radius_um / eye.radius_um.max(), (2, 2))
    axes = np.stack([radius, np.sqrt(radius), 0 * radius], axis=-1)
    return np.concatenate([superficial, deep, labels, (255 * axes).astype(np.uint8)], axis=1)


if __name__ == "__main__":
    rows = [
        panels(synthesize_eye((2026, i), EyeParameters(size=304, field_mm=field)))
        for i, field in enumerate((3.0, 6.0))
    ]
    target = Path(__file__).parent / "images/synthetic_eyes.jpg"
    Image.fromarray(np.concatenate(rows)).save(target, quality=70)
