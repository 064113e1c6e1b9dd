"""Dice of one network with its running statistics, as it is used, and with those of the batch.

    python -m benchmarks.batch_statistics --weights runs/vaffnet --octa500 DIR

Batch norms train with the statistics of each batch and predict with averages of them. A network
that scores high in training and low in validation may lack good averages: here all validation cases
are one batch. Prints the mean Dice of each task at a threshold of 0.5. Networks of one slab; those
with dropout keep it with the statistics of the batch.
"""

from pathlib import Path

import jax
import numpy as np

from benchmarks.command_line import parser
from s2a_jax.data.octa500_ids import FIELD_MM
from s2a_jax.data.selection import select_cases
from s2a_jax.errors import UserError
from s2a_jax.inputs.images import unit_pixels
from s2a_jax.models.build import build_network
from s2a_jax.signals import leave, run_program
from s2a_jax.training.stored import read_stored


def main() -> None:
    """Runs the program."""
    flags = parser("benchmarks.batch_statistics", __doc__)
    flags.add_argument("--weights", required=True, help="workdir, checkpoint or weights file")
    flags.add_argument("--octa500", required=True, type=Path, help="folder of OCTA-500")
    flags.add_argument("--subset", choices=tuple(FIELD_MM), default="3M")
    options = flags.parse_args()
    description, variables, _ = read_stored(options.weights)
    if "batch_stats" not in variables:
        raise UserError(f"--weights={options.weights}: {description.network} has no batch norm.")
    if description.fields["slabs"]:
        raise UserError(f"--weights={options.weights}: takes several slabs, expected one.")
    selection = select_cases(options.octa500, "val", "octa500", options.subset)
    images = np.stack([unit_pixels(case.image) for case in selection.cases])
    network = build_network(description.network, description.fields)

    @jax.jit
    def running(images: jax.Array) -> dict[str, jax.Array]:
        return network.apply(variables, images, train=False)

    @jax.jit
    def of_batch(images: jax.Array) -> dict[str, jax.Array]:
        key = {"dropout": jax.random.key(0)}
        return network.apply(variables, images, train=True, mutable=["batch_stats"], rngs=key)[0]

    for name, predict in (("running statistics", running), ("statistics of the batch", of_batch)):
        logits = predict(images[..., None])
        for task in selection.tasks:
            pairs = [
                (logit > 0, getattr(case, task))
                for logit, case in zip(
                    np.asarray(logits[task][..., 0]), selection.cases, strict=True
                )
                if getattr(case, task) is not None
            ]
            mean = np.mean([2 * (a & b).sum() / max(1, a.sum() + b.sum()) for a, b in pairs])
            print(f"{name:<24} {task.upper():<4} {mean:.4f} ({len(pairs)} cases)", flush=True)


if __name__ == "__main__":
    leave(run_program(main))
