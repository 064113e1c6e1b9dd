"""Files of synthetic eyes in several sizes."""

import itertools
import os
from pathlib import Path

from PIL import Image

from s2a_jax.data.synthesis import EyeParameters, synthesize_eye

ANATOMIES = 4  # further images are links to these
_ACROSS = 4  # sizes differ by 16 px: so many widths, and as many heights as it takes


def make_images(folder: Path, count: int, size: int, sizes: int) -> list[Path]:
    """Writes images to a folder, which is made; after `ANATOMIES * sizes` of them they repeat.

    Args:
        folder: where to write.
        count: number of images.
        size: smallest side, px.
        sizes: number of sizes; the first so many images differ in size.

    Returns:
        Their paths, sorted.
    """
    folder.mkdir()
    sides = [(size + 16 * (k // _ACROSS), size + 16 * (k % _ACROSS)) for k in range(sizes)]
    largest = max(64, max(map(max, sides)))
    eyes = [synthesize_eye((5, n), EyeParameters(size=largest)).image for n in range(ANATOMIES)]
    originals = itertools.product(eyes, sides)
    paths = [folder / f"{n:06}.png" for n in range(count)]
    distinct = len(eyes) * sizes
    for path, (eye, (height, width)) in zip(paths, originals, strict=False):
        Image.fromarray(eye[:height, :width]).save(path)
    for n in range(distinct, count):
        os.link(paths[n % distinct], paths[n])
    return paths
