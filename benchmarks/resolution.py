"""Biomarkers of the same synthetic eyes at several numbers of pixels, as the network finds them.

    python -m benchmarks.resolution --eyes 4

Prints each biomarker of the predicted masks at every size, measured at the image's pitch and at the
pitch at which the network saw it, with the pitch unknown, and of the true masks; and RV and FAZ
Dice.
"""

import argparse

import numpy as np

from benchmarks.command_line import parser, positive
from s2a_jax.biomarkers.measure import measure
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.images import resize_image
from s2a_jax.signals import leave, run_program

COLUMNS = (
    "faz_area_mm2",
    "faz_circularity",
    "vessel_density",
    "skeleton_density_per_mm",
    "vessel_diameter_index_um",
    "mean_calibre_um",
    "branch_point_density_per_mm2",
    "tortuosity",
    "fractal_dimension",
)


def main() -> None:
    """Runs the program."""
    flags = parser("benchmarks.resolution", __doc__)
    flags.add_argument("--weights", default="sim_to_real")
    flags.add_argument("--eyes", type=positive, default=4)
    flags.add_argument("--field", type=float, default=3.0, help="mm")
    flags.add_argument("--sizes", type=positive, nargs="+", default=[304, 400, 512, 768, 1024])
    flags.add_argument(
        "--enlarge", action="store_true", help="enlarge the first size, instead of rendering each"
    )
    options = flags.parse_args()
    model = Segmenter.load_from_checkpoint(options.weights)
    found = {size: [_measure(model, size, n, options) for n in range(options.eyes)]
             for size in options.sizes}  # fmt: skip
    for how in next(iter(found.values()))[0]:
        print(f"\n{how}")
        print(f"{'':30}", *(f"{size:>8}" for size in options.sizes))
        for name in found[options.sizes[0]][0][how]:
            means = (np.mean([eye[how][name] for eye in found[size]]) for size in options.sizes)
            print(f"{name:30}", *(f"{mean:8.3f}" for mean in means), flush=True)


def _measure(
    model: Segmenter, size: int, number: int, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Way of measuring -> name -> value, of one eye."""
    rendered = options.sizes[0] if options.enlarge else size
    eye = synthesize_eye((11, number), EyeParameters(size=rendered, field_mm=options.field))
    image = eye.image / np.float32(255) if eye.image.dtype == np.uint8 else eye.image
    if size != rendered:
        image = resize_image(image, (size, size))
    pitch = 1000 * options.field / size
    computed, blind = model.compute(image, um_per_px=pitch), model.predict_proba(image)
    result = {
        "at the image's pitch": _values(computed.probability, pitch),
        "at the network's pitch": _values(computed.at_network, computed.um_per_px),
        "pitch unknown": _values(blind, pitch),
    }
    if not options.enlarge:
        result["truth"] = _values({"rv": eye.rv, "faz": eye.faz}, pitch)
        for how, maps in (("at the image's pitch", computed.probability), ("pitch unknown", blind)):
            for task, truth in (("rv", eye.rv), ("faz", eye.faz)):
                mask = maps[task] >= 0.5
                dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
                result[how] |= {f"dice {task}": float(dice)}
    return result


def _values(maps: dict[str, np.ndarray], um_per_px: float) -> dict[str, float]:
    values = measure(maps["rv"] >= 0.5, maps["faz"] >= 0.5, um_per_px=um_per_px)
    return {name: values[name] for name in COLUMNS}


if __name__ == "__main__":
    leave(run_program(main))
