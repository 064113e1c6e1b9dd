"""How often `analyze` contradicts the field of view of real images: half, right, and twice.

    python -m benchmarks.wrong_field --real NAME=DIR:FIELD_MM ...

With the right field every contradiction is a false alarm; with half of it, or twice, a silence is a
miss, after which lengths are wrong by a factor of 2 and areas by 4.
"""

from collections.abc import Sequence

import numpy as np

from benchmarks.command_line import parser, positive
from benchmarks.pitch_calibration import parse_folder, some_images
from s2a_jax import S2ANet
from s2a_jax.errors import UserError
from s2a_jax.quality.assess import PITCH_CONTRADICTED
from s2a_jax.signals import leave, run_program

_FACTORS = (0.5, 1, 2)


def main() -> None:
    """Print the table."""
    flags = parser("benchmarks.wrong_field", __doc__)
    flags.add_argument(
        "--real",
        type=parse_folder,
        nargs="+",
        required=True,
        metavar="NAME=DIR:FIELD_MM",
        help="folders of square superficial slabs with their field of view in mm",
    )
    flags.add_argument("--count", type=positive, default=40, help="images a folder; default 40")
    options = flags.parse_args()
    for one in options.real:
        if not one.path.is_dir():
            raise UserError(f"--real {one.name}: {one.path} is no folder; name one.")
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
