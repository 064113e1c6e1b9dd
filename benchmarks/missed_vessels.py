"""Which vessels a network misses, and which it adds, by their radius.

    python -m benchmarks.missed_vessels --weights sim_to_real --octa500 DIR

Takes the centrelines of the graders' vessels in the val splits of OCTA-500, 3M and 6M, and checks
for each pixel whether the network's mask reaches it, within one pixel, diagonals included; then the
same of the network's centrelines and the graders' masks. The radius is the distance of the
centreline to the nearest wall of its mask. Prints lengths and shares for each range of radii.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from benchmarks.command_line import parser
from s2a_jax.biomarkers.skeleton import trace_skeleton
from s2a_jax.data.cases import read_case
from s2a_jax.data.octa500 import list_octa500
from s2a_jax.data.octa500_ids import FIELD_MM
from s2a_jax.errors import UserError
from s2a_jax.inference.masks import masks_of
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.signals import leave, run_program

EDGES_UM = (0.0, 8.0, 12.0, 20.0, np.inf)
"""Bounds of the ranges of radii, um; each contains its lower one."""

_BORDER = 32  # px that continue the mask, so that centrelines reach the image's edge


class Lengths(NamedTuple):
    """Pixels of centrelines by range of radii, int [R]: all of them, and those that are reached."""

    all: np.ndarray
    reached: np.ndarray


def main() -> None:
    """Measure, and print a table for each subset."""
    flags = parser("benchmarks.missed_vessels", __doc__)
    flags.add_argument("--weights", required=True, type=Path,
                       help="workdir, checkpoint or weights file, or sim_to_real")  # fmt: skip
    flags.add_argument("--octa500", required=True, type=Path, help="folder of OCTA-500, 3M and 6M")
    options = flags.parse_args()
    files = {
        subset: [
            file
            for file in list_octa500(options.octa500, subset).cases
            if file.split == "val" and file.rv is not None
        ]
        for subset in FIELD_MM
    }
    if empty := [subset for subset, chosen in files.items() if not chosen]:
        raise UserError(
            f"--octa500={options.octa500}: {empty[0]} has no val case with a mask of vessels."
        )
    model = Segmenter.load_from_checkpoint(options.weights)
    for subset, chosen in files.items():
        graders, network = [], []
        for file in chosen:
            case = read_case(file)
            predicted = masks_of(model.predict_proba(case.image), 0.5).masks["rv"]
            um_per_px = 1000 * FIELD_MM[subset] / case.rv.shape[0]
            graders.append(reached_lengths(case.rv > 0, predicted, um_per_px))
            network.append(reached_lengths(predicted, case.rv > 0, um_per_px))
        _print(f"OCTA-500 {subset} val, {len(chosen)} images", graders, network)


def reached_lengths(mask: np.ndarray, other: np.ndarray, um_per_px: float) -> Lengths:
    """Lengths of the centrelines of `mask`, and of what `other` reaches of them.

    Args:
        mask: bool [H, W].
        other: bool [H, W].
        um_per_px: pixel pitch.
    """
    padded = np.pad(mask, _BORDER, mode="symmetric")
    lines = trace_skeleton(padded, _BORDER).pixels
    outside = ndimage.distance_transform_edt(padded)  # to the middle of a pixel outside
    radius = um_per_px * (outside[_BORDER:-_BORDER, _BORDER:-_BORDER] - 0.5)
    reach = ndimage.binary_dilation(other, np.ones((3, 3), bool))
    return Lengths(
        *(np.histogram(radius[chosen], EDGES_UM)[0] for chosen in (lines, lines & reach))
    )


def _print(title: str, graders: Sequence[Lengths], network: Sequence[Lengths]) -> None:
    print(f"{title}\nradius, um    graders' length  found    network's length  not the graders'")
    sums = [Lengths(*(np.sum(part, axis=0) for part in zip(*side, strict=True)))
            for side in (graders, network)]  # fmt: skip
    ranges = [
        f"{low:.0f} to {high:.0f}" if np.isfinite(high) else f"{low:.0f} and more"
        for low, high in itertools.pairwise(EDGES_UM)
    ]
    for name, (length, found), (own, agreed) in zip(
        [*ranges, "all"], *(_shares(side) for side in sums), strict=True
    ):
        print(
            f"{name:<12} {length:16.1%} {_percent(found):>6} {own:19.1%} {_percent(1 - agreed):>17}"
        )
    print(flush=True)


def _shares(lengths: Lengths) -> list[tuple[float, float]]:
    """Of each range and of all: its share of the length, and the share of it that is reached."""
    whole = lengths.all.sum()
    pairs = [*zip(lengths.all, lengths.reached, strict=True), (whole, lengths.reached.sum())]
    return [
        (part / max(whole, 1), reached / part if part else float("nan")) for part, reached in pairs
    ]


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{share:.1%}"


if __name__ == "__main__":
    leave(run_program(main))
