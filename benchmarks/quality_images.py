"""Images of each kind that `s2a_jax.quality` should recognise, made from one random generator."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage import data as pictures

from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.inputs.images import resize_image, to_unit_float

FIELDS = ((304, 3.0), (400, 6.0), (400, 4.5), (512, 6.0))
"""Side in pixels and field of view in mm of the eyes that the others are made from."""
_PHOTOGRAPHS = ("astronaut", "brick", "camera", "coins", "gravel", "hubble_deep_field", "moon",
                "page", "retina")  # fmt: skip
"""Pictures that scikit-image carries with it; the last is a colour photograph of a fundus."""


def eye(rng: np.random.Generator, field: int | None = None) -> np.ndarray:
    """The superficial slab of a synthetic eye, float32 [H, W] in [0, 1].

    Args:
        rng: draws the eye.
        field: index of `FIELDS`; None: any.
    """
    size, field_mm = FIELDS[rng.integers(len(FIELDS)) if field is None else field]
    parameters = EyeParameters(size=size, field_mm=field_mm)
    return to_unit_float(synthesize_eye(int(rng.integers(2**31)), parameters).image)


def blank(rng: np.random.Generator) -> np.ndarray:
    """One value, as of an export without a slab, with noise of at most one grey level."""
    values = np.full((304, 304), rng.choice([0.0, 0.0, 0.5, 1.0]))
    return _grey(values + rng.choice([0.0, 1.0]) / 255 * rng.uniform(0, 1, values.shape))


def noise(rng: np.random.Generator) -> np.ndarray:
    """Noise without any structure: fine, in grains as of speckle, or of all scales."""
    size = int(rng.choice([304, 400]))
    values = rng.normal(size=(size, size))
    kind = rng.integers(4)
    if kind == 1:
        values = rng.gamma(1.0, size=values.shape)
    elif kind == 2:
        values = ndimage.gaussian_filter(values, rng.uniform(0.5, 3))
    elif kind == 3:
        frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))
        frequency[0, 0] = np.inf
        values = np.fft.ifft2(np.fft.fft2(values) * frequency ** -rng.uniform(0.5, 1.5)).real
    low, high = np.percentile(values, (0.5, 99.5))
    return _grey((values - low) / (high - low))


def structure(rng: np.random.Generator) -> np.ndarray:
    """A structural en-face OCT: bright tissue with speckle, and shadows of the larger vessels."""
    size, field_mm = FIELDS[rng.integers(len(FIELDS))]
    made = synthesize_eye(int(rng.integers(2**31)), EyeParameters(size=size, field_mm=field_mm))
    pitch = field_mm / size
    shadow = ndimage.gaussian_filter(made.rv.astype(float), 0.012 / pitch)
    fovea = ndimage.gaussian_filter(made.faz.astype(float), 0.2 / pitch)
    clouds = ndimage.gaussian_filter(rng.normal(size=made.rv.shape), 0.5 / pitch)
    tissue = 0.55 + 0.1 * clouds / clouds.std() - rng.uniform(-0.1, 0.4) * fovea
    tissue = tissue * (1 - rng.uniform(0.2, 0.5) * shadow)
    grain = ndimage.gaussian_filter(rng.gamma(4.0, size=made.rv.shape) / 4, 0.6)
    return _grey(tissue * (1 + 0.5 * (grain - 1)))


def section(rng: np.random.Generator) -> np.ndarray:
    """A B-scan: layers of the retina over a dark background, with a foveal pit and speckle."""
    height, width = 400, 400
    x = np.linspace(-1, 1, width)
    pit = np.exp(-((x - rng.uniform(-0.2, 0.2)) ** 2) / rng.uniform(0.02, 0.06))
    top = 130 + 30 * x * rng.uniform(-1, 1) + rng.uniform(20, 50) * pit
    bottom = 260 + 15 * x**2
    y = np.arange(height)[:, None]
    depth = (y - top) / (bottom - top)
    layers = np.interp(
        depth,
        [-0.01, 0.0, 0.12, 0.2, 0.35, 0.45, 0.55, 0.85, 0.9, 1.0, 1.3, 1.8],
        [0.05, 0.8, 0.75, 0.45, 0.5, 0.3, 0.35, 0.2, 0.95, 0.9, 0.5, 0.1],
    )
    shadows = 1 - 0.4 * (ndimage.gaussian_filter1d(rng.normal(size=width), 3) > 0.35)
    layers = layers * np.where(depth > 0.15, shadows, 1)
    return _grey(layers * rng.gamma(3.0, size=layers.shape) / 3)


def photograph(rng: np.random.Generator) -> np.ndarray:
    """A part of a picture of something else, one of those that scikit-image carries."""
    picture = to_unit_float(np.asarray(getattr(pictures, rng.choice(_PHOTOGRAPHS))()))
    side = int(rng.integers(min(picture.shape) // 2, min(picture.shape) + 1))
    y, x = (int(rng.integers(n - side + 1)) for n in picture.shape)
    return resize_image(picture[y : y + side, x : x + side], (304, 304))


def inverted(rng: np.random.Generator) -> np.ndarray:
    """An eye with dark vessels."""
    return 1 - eye(rng)


def flat(rng: np.random.Generator) -> np.ndarray:
    """An eye whose contrast is nearly lost, or most of which is saturated."""
    image = eye(rng)
    if rng.integers(2):
        return _grey(rng.uniform(0.1, 0.8) + rng.uniform(0.02, 0.05) * image)
    return _grey(image / np.percentile(image, rng.uniform(20, 35)))


def elsewhere(rng: np.random.Generator) -> np.ndarray:
    """A part of an eye in which the fovea is at the edge, or not at all."""
    image = eye(rng, 3)
    y, x = rng.choice([0, 1], 2)
    inset = int(rng.integers(0, 40))
    rows, columns = (slice(256 - inset, None) if end else slice(256 + inset) for end in (y, x))
    return image[rows, columns]


def two_zones(rng: np.random.Generator) -> np.ndarray:
    """An eye with a second area without vessels, as large as the FAZ."""
    image = eye(rng, int(rng.integers(2)))
    size = len(image)
    y, x = np.mgrid[:size, :size] - size / 2
    angle, away = rng.uniform(0, 2 * np.pi), 0.3 * size
    radius = 0.07 * size
    distance = np.hypot(y - away * np.sin(angle), x - away * np.cos(angle))
    gone = 1 / (1 + np.exp((distance - radius) / 2))
    return _grey(image * (1 - gone) + gone * 0.05 * rng.uniform(0, 1, image.shape))


def motion(rng: np.random.Generator) -> np.ndarray:
    """An eye in which saccades displaced and brightened many bands of lines."""
    image = eye(rng, int(rng.integers(2))).copy()
    rows = len(image)
    for _ in range(int(rng.integers(10, 18))):
        row, height = int(rng.integers(rows)), int(rng.integers(3, 14))
        band = slice(row, row + height)
        image[band] = np.roll(image[band], int(rng.integers(10, 40)) * rng.choice([-1, 1]), axis=1)
        if rng.integers(2):
            image[band] = image[band] * 0.4 + rng.uniform(0.3, 0.6)
    return _grey(image)


def blurred(rng: np.random.Generator) -> np.ndarray:
    """An eye out of focus: capillaries and thin vessels are gone."""
    size, field_mm = FIELDS[rng.integers(len(FIELDS))]
    made = synthesize_eye(int(rng.integers(2**31)), EyeParameters(size=size, field_mm=field_mm))
    sigma = rng.uniform(0.035, 0.06) / (field_mm / size)
    image = ndimage.gaussian_filter(to_unit_float(made.image), sigma)
    return _grey(image / np.percentile(image, 99.5) + rng.normal(0, 0.02, image.shape))


def screenshot(rng: np.random.Generator) -> tuple[np.ndarray, tuple[slice, slice]]:
    """A viewer's picture of an eye: margins, a title, perhaps a legend, a line around the image.

    Returns:
        uint8 [H, W, 3], and rows and columns of the eye.
    """
    image = np.rint(255 * eye(rng)).astype(np.uint8)
    side = len(image)
    paper = int(rng.choice([0, 30, 128, 240, 255]))
    ink = 255 if paper < 128 else 0
    top, bottom, left, right = (int(n) for n in rng.integers(20, 90, 4))
    legend = int(rng.choice([0, 120]))
    canvas = Image.new("RGB", (left + side + right + legend, top + side + bottom), (paper,) * 3)
    draw = ImageDraw.Draw(canvas)
    box = (left, top, left + side, top + side)
    if rng.integers(2):
        line = int(rng.integers(1, 5))
        outer = (left - line, top - line, box[2] + line - 1, box[3] + line - 1)
        draw.rectangle(outer, outline=tuple(int(n) for n in rng.integers(0, 256, 3)), width=line)
    canvas.paste(Image.fromarray(image), (left, top))
    draw.text((left, 4), "OCTA Superficial 6.0 x 6.0 mm  OD", fill=(ink,) * 3)
    if rng.integers(2):
        draw.line((left, box[3] + 12, left + side // 6, box[3] + 12), fill=(ink,) * 3, width=3)
        draw.text((left, box[3] + 14), "1 mm", fill=(ink,) * 3)
    if legend:
        for row in range(side):
            shade = (255 * row // side, 128, 255 - 255 * row // side)
            draw.line((box[2] + right + 10, top + row, box[2] + right + 30, top + row), fill=shade)
        draw.text((box[2] + right + 40, top), "Density", fill=(ink,) * 3)
    return np.asarray(canvas), (slice(top, top + side), slice(left, left + side))


def several(rng: np.random.Generator) -> np.ndarray:
    """A report with two to four pictures, uint8 [H, W, 3]."""
    image = np.rint(255 * eye(rng, 0)).astype(np.uint8)
    side, gap = len(image), int(rng.integers(12, 40))
    across, down = (int(n) for n in rng.choice([[2, 1], [1, 2], [2, 2]]))
    paper = int(rng.choice([0, 255]))
    shape = (gap + down * (side + gap), gap + across * (side + gap))
    canvas = np.full((*shape, 3), paper, np.uint8)
    for i in range(down):
        for j in range(across):
            y, x = gap + i * (side + gap), gap + j * (side + gap)
            canvas[y : y + side, x : x + side] = np.rot90(image, i + 2 * j)[..., None]
    return canvas


KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "eye": eye,
    "blank": blank,
    "noise": noise,
    "structure": structure,
    "section": section,
    "photograph": photograph,
    "inverted": inverted,
    "flat": flat,
    "elsewhere": elsewhere,
    "two_zones": two_zones,
    "motion": motion,
    "blurred": blurred,
}
"""Kind -> a random image of it, float32 [H, W] in [0, 1]; only `eye` is good."""


def _grey(values: np.ndarray) -> np.ndarray:
    """Rounds to 8 bits, as files have them."""
    return (np.rint(255 * np.clip(values, 0, 1)) / 255).astype(np.float32)
