"""What happens to an image between the scanner and a data set: resampling and compression."""

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image

from s2a_jax.data.synthesis.parameters import EyeParameters


def exported(
    rng: np.random.Generator, images: Iterable[np.ndarray], parameters: EyeParameters
) -> list[np.ndarray]:
    """Exports the images of one scan, all in the same way.

    Args:
        rng: random generator of the export.
        images: each [H, W] uint8.
        parameters: those of the eye.

    Returns:
        The images, [H, W] uint8.
    """
    is_resampled = rng.uniform() < parameters.resampling_probability
    share = rng.uniform(*parameters.resampling)
    is_jpeg = rng.uniform() < parameters.jpeg_probability
    quality = int(rng.integers(*parameters.jpeg_quality))
    results = []
    for pixels in images:
        image = Image.fromarray(pixels)
        if is_resampled:
            height, width = (round(share * side) for side in pixels.shape)
            smaller = image.resize((width, height), Image.Resampling.BILINEAR)
            image = smaller.resize(image.size, Image.Resampling.BICUBIC)
        if is_jpeg:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality)
            image = Image.open(file)
        results.append(np.asarray(image))
    return results
