"""How often `analyze` contradicts the field of view of real images: half, right, and twice.

    python -m benchmarks.wrong_field --real NAME=DIR:FIELD_MM ...

With the right field every contradiction is a false alarm; with half of it, or twice, a silence is a
miss, after which lengths are wrong by a factor of 2 and areas by 4.
"""

from collections.abc import Sequence

import numpy as np

from benchmarks.command_line import parser
from benchmarks.pitch_calibration import add_folders, check_folders, some_images
from s2a_jax import S2ANet
from s2a_jax.quality.assess import PITCH_CONTRADICTED
from s2a_jax.signals import leave, run_program

_FACTORS = (0.5, 1, 2)


def main() -> None:
    """Print the table."""
    flags = parser("benchmarks.wrong_field", __doc__)
    add_folders(flags, count=40)
    options = flags.parse_args()
    if not options.real:
        flags.error("--real: expected at least one NAME=DIR:FIELD_MM")
    check_folders(options.real)
    model = S2ANet.pretrained()
    print(f"{'images':24s} {'n':>4s} {'half':>6s} {'right':>6s} {'twice':>6s}")
    for one in options.real:
        images = some_images(one, options.count)
        counts = [_contradictions(model, images, factor * one.field_mm) for factor in _FACTORS]
        shown = " ".join(f"{count:6d}" for count in counts)
        print(f"{one.name:24s} {len(images):4d} {shown}", flush=True)


def _contradictions(model: S2ANet, images: Sequence[np.ndarray], field_mm: float) -> int:
    found = [model.analyze(image, field_mm=field_mm).quality.reasons for image in images]
    return sum(any(reason.name == PITCH_CONTRADICTED for reason in each) for each in found)


if __name__ == "__main__":
    leave(run_program(main))
