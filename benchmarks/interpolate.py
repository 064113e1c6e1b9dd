"""Weights between those of a network and of its continued training, in half precision.

    python -m benchmarks.interpolate --before A --after B --share 0.4 --out weights.safetensors

Every parameter and running statistic is (1 - share) of A's plus share of B's. The pitches that the
file states are those that both were trained on. A network and its continuation lie in one basin of
the loss, so what lies between them works, often on more kinds of images than either end (Wortsman
et al., Robust fine-tuning of zero-shot models, CVPR 2022).
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.command_line import parser
from s2a_jax.convert.weights import save_weights
from s2a_jax.errors import UserError
from s2a_jax.inference.ensemble import common_pitches
from s2a_jax.signals import leave, run_program
from s2a_jax.training.stored import read_stored


def main() -> None:
    """Read both networks and write the one between them."""
    flags = parser("benchmarks.interpolate", __doc__)
    described = "workdir, checkpoint or weights file, or a network that comes with the package"
    flags.add_argument("--before", required=True, help=described)
    flags.add_argument("--after", required=True, help="the same, trained further from --before")
    flags.add_argument("--share", required=True, type=_share, help="of --after, 0 to 1")
    flags.add_argument("--out", required=True, type=Path, help=".safetensors file to write")
    options = flags.parse_args()
    old, before, _ = read_stored(options.before)
    description, after, _ = read_stored(options.after)
    if (old.network, old.fields) != (description.network, description.fields):
        raise UserError(
            "--before and --after are other networks, or of other sizes; give a network and its "
            "continued training."
        )
    known = (old.pitches_um, description.pitches_um)
    pitches = common_pitches(*known)
    if pitches is None and known != (None, None):
        raise UserError(
            "--before and --after were trained on no common pitch; give a network and its "
            "continued training."
        )
    description = description._replace(pitches_um=pitches)
    save_weights(options.out, description, between(before, after, options.share), half=True)
    print(f"{options.share:g} of the way from {options.before} to {options.after} -> {options.out}")


def between(before: Mapping[str, Any], after: Mapping[str, Any], share: float) -> dict[str, Any]:
    """Variables between those of two networks, float32.

    Args:
        before: variables of one network.
        after: those of the other.
        share: of `after`, in [0, 1].
    """
    return jax.tree.map(lambda a, b: np.float32((1 - share) * a + share * b), before, after)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a share from 0 to 1")
    return share


if __name__ == "__main__":
    leave(run_program(main))
