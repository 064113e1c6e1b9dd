"""Compare synthetic with real eyes, in a table and pictures.

    python -m benchmarks.synthesis_realism --real DIR --subset 3M --out runs/realism

DIR is a copy of OCTA-500. Measures intensities, the radial power spectrum, the share, calibre and
contrast of the labelled vessels, and, where there are masks, the area and contrast of the FAZ.
Writes <subset>.csv, <subset>.png (real eyes above synthetic ones) and <subset>_charts.png.
"""

import csv
import dataclasses
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.morphology import skeletonize

from benchmarks.command_line import parser, positive
from s2a_jax.data.cases import load_cases
from s2a_jax.data.octa500 import OCTA500, list_octa500
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.signals import leave, run_program

_FIELDS_MM = {"3M": 3.0, "6M": 6.0}
_SHOWN = 4


@dataclasses.dataclass(frozen=True)
class _Sample:
    """Images, uint8 [N, S, S], vessel masks, bool [N, S, S], and FAZ masks, None if missing."""

    images: np.ndarray
    rv: np.ndarray
    faz: list[np.ndarray | None]


def main() -> None:
    """Measure, print and write the table, and draw the pictures."""
    flags = parser("benchmarks.synthesis_realism", __doc__)
    flags.add_argument("--real", required=True, type=Path, help="folder of OCTA-500")
    flags.add_argument(
        "--subset", choices=tuple(_FIELDS_MM), default="3M", help="subset of OCTA-500; default 3M"
    )
    flags.add_argument("--count", type=positive, default=40, help="eyes of each kind; default 40")
    flags.add_argument("--seed", type=int, default=0, help="seed of the synthetic eyes; default 0")
    flags.add_argument(
        "--out", type=Path, default=Path("runs/realism"), help="output folder; default runs/realism"
    )
    options = flags.parse_args()
    size = OCTA500.subset(options.subset).size
    field = _FIELDS_MM[options.subset]
    samples = {
        "real": _real(options.real, options.subset, options.count, size),
        "synthetic": _synthetic(options.seed, options.count, size, field),
    }
    measured = {name: _measure(sample, field / size) for name, sample in samples.items()}
    options.out.mkdir(parents=True, exist_ok=True)
    rows = [(key, *(measured[name][key] for name in samples)) for key in measured["real"]]
    with (options.out / f"{options.subset}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("measure", "real_mean", "real_sd", "synthetic_mean", "synthetic_sd"))
        writer.writerows((key, *real, *made) for key, real, made in rows)
    counts = " and ".join(f"{len(sample.images)} {name}" for name, sample in samples.items())
    print(f"{options.subset}: {counts} eyes, mean ± sd over eyes")
    for key, real, made in rows:
        print(f"{key:34s} {real[0]:9.3f} ± {real[1]:<8.3f} {made[0]:9.3f} ± {made[1]:<8.3f}")
    distance = _histogram_distance(samples)
    print(f"{'intensities: Wasserstein distance':34s} {distance:9.3f} grey levels")
    _draw(samples, field / size, options.out / f"{options.subset}.png")
    print(f"{options.out / options.subset}.csv, .png, _charts.png")


def _real(root: Path, subset: str, count: int, size: int) -> _Sample:
    files = list_octa500(root, subset).cases
    # All cases with a FAZ mask, and others spread over the set.
    with_faz = [case for case in files if case.faz is not None]
    others = [case for case in files if case.faz is None]
    step = max(1, len(others) // max(1, count - len(with_faz)))
    cases = load_cases((with_faz + others[::step])[:count], size)
    faz = [mask > 0 if has else None for mask, has in zip(cases.faz, cases.has_faz, strict=True)]
    return _Sample(cases.images, cases.rv > 0, faz)


def _synthetic(seed: int, count: int, size: int, field: float) -> _Sample:
    parameters = EyeParameters(size=size, field_mm=field)
    eyes = [synthesize_eye((seed, i), parameters) for i in range(count)]
    return _Sample(
        np.stack([eye.image for eye in eyes]),
        np.stack([eye.rv for eye in eyes]),
        [eye.faz for eye in eyes],
    )


def _measure(sample: _Sample, pitch_mm: float) -> dict[str, tuple[float, float]]:
    """Name of a measure -> mean and standard deviation over the eyes; the FAZ's over its masks."""
    values: dict[str, list[float]] = {}

    def add(name: str, value: float) -> None:
        values.setdefault(name, []).append(float(value))

    for image, rv, faz in zip(sample.images, sample.rv, sample.faz, strict=True):
        background = ~rv if faz is None else ~rv & ~faz
        add("intensity: mean (0-255)", image.mean())
        add("intensity: sd", image.std())
        add("background: mean", image[background].mean())
        add("vessels: mean", image[rv].mean())
        add("vessels: share (%)", 100 * rv.mean())
        calibre = _calibres_um(rv, pitch_mm)
        for share in (50, 95):
            add(f"vessels: calibre, {share} % (um)", np.percentile(calibre, share))
        add("vessels: length (mm/mm2)", len(calibre) / (rv.size * pitch_mm))
        frequency, power = _spectrum(image, pitch_mm)
        for low, high in ((1, 5), (5, 15), (15, 30)):
            band = (frequency >= low) & (frequency < high)
            add(f"power, {low}-{high} per mm (log10)", np.log10(power[band].mean()))
        if faz is not None:
            ring = ndimage.binary_dilation(faz, iterations=round(0.2 / pitch_mm)) & ~faz & ~rv
            add("FAZ: area (mm2)", faz.sum() * pitch_mm**2)
            add("FAZ: mean", image[faz].mean())
            add("FAZ: over its ring", image[faz].mean() / image[ring].mean())
    return {name: (float(np.mean(v)), float(np.std(v))) for name, v in values.items()}


def _calibres_um(rv: np.ndarray, pitch_mm: float) -> np.ndarray:
    """Calibre in um at each pixel of the skeleton."""
    inside = ndimage.distance_transform_edt(rv)
    return 1e3 * pitch_mm * (2 * inside[skeletonize(rv)] - 1)


def _spectrum(image: np.ndarray, pitch_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in cycles per mm, and the radially averaged power at each."""
    values = (image - image.mean()) / image.std()
    window = np.hanning(len(image))
    power = np.abs(np.fft.fft2(values * window[:, None] * window)) ** 2
    axis = np.fft.fftfreq(len(image), pitch_mm)
    radius = np.hypot(axis[:, None], axis)
    bins = np.arange(0.5, axis.max(), 0.5)
    which = np.digitize(radius.ravel(), bins)
    totals = np.bincount(which, power.ravel(), len(bins) + 1)[1:-1]
    counts = np.bincount(which, minlength=len(bins) + 1)[1:-1]
    return (bins[:-1] + bins[1:]) / 2, totals / np.maximum(counts, 1)


def _histogram_distance(samples: dict[str, _Sample]) -> float:
    cumulative = [
        np.cumsum(np.bincount(sample.images.ravel(), minlength=256)) / sample.images.size
        for sample in samples.values()
    ]
    return float(np.abs(cumulative[0] - cumulative[1]).sum())


def _draw(samples: dict[str, _Sample], pitch_mm: float, path: Path) -> None:
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.4), layout="constrained")
    for name, sample in samples.items():
        axes[0].hist(
            sample.images.ravel(), 64, range=(0, 255), density=True, histtype="step", label=name
        )
        spectra = [_spectrum(image, pitch_mm) for image in sample.images]
        axes[1].loglog(spectra[0][0], np.mean([power for _, power in spectra], 0), label=name)
        calibres = np.concatenate([_calibres_um(rv, pitch_mm) for rv in sample.rv])
        axes[2].hist(calibres, 40, range=(0, 160), density=True, histtype="step", label=name)
    for axis, label in zip(
        axes, ("intensity", "spatial frequency (1/mm)", "calibre (um)"), strict=True
    ):
        axis.set_xlabel(label)
        axis.legend()
    charts = path.with_name(f"{path.stem}_charts.png")
    figure.savefig(charts, dpi=100)
    plt.close(figure)
    rows = [np.concatenate(list(sample.images[:_SHOWN]), axis=1) for sample in samples.values()]
    Image.fromarray(np.concatenate(rows)).save(path)


if __name__ == "__main__":
    leave(run_program(main))
