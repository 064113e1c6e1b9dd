"""One process of a small run, for tests of several: SGD on random cases, checkpoints, resume.

python -m tests.training.worker FOLDER STEPS FSDP [COORDINATOR PROCESSES PROCESS]
"""

import functools
import json
import sys
from pathlib import Path

import jax
import numpy as np
import optax

from s2a_jax import processes
from s2a_jax.convert.weights import Description
from s2a_jax.data.cases import CaseSet
from s2a_jax.data.pipeline import TrainStream
from s2a_jax.evaluation.protocols import PROTOCOLS
from s2a_jax.evaluation.regions import Window
from s2a_jax.evaluation.scoring import Settings
from s2a_jax.objectives.joint import Objective
from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.checkpoint import Checkpoints
from s2a_jax.training.evaluator import count_cases, make_evaluator
from s2a_jax.training.results import score_set
from s2a_jax.training.sharding import batch_sharding, gather, make_mesh, put_batch, replicated
from s2a_jax.training.state import abstract_state, create_state
from s2a_jax.training.step import train_step
from tests.networks import Small

SIZE, BATCH, CASES = 32, 8, 20
UPDATES = 6  # in all; then the state is evaluated


def random_cases():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (2, CASES, SIZE, SIZE), np.uint8)
    return CaseSet(
        ids=tuple(f"case{i}" for i in range(CASES)),
        images=rng.integers(0, 256, (CASES, SIZE, SIZE), np.uint8),
        rv=masks[0],
        faz=masks[1],
        has_rv=np.ones(CASES, bool),
        has_faz=np.arange(CASES) % 3 > 0,
        native_sizes=np.full((CASES, 2), SIZE, np.int32),
    )


def main(folder, steps, fsdp):
    """Makes `steps` updates after the newest checkpoint in `folder`, saves, and evaluates."""
    module, mesh = Small(), make_mesh(fsdp=fsdp)
    optimizer, objective = optax.sgd(0.02), Objective(bce_weight=1.0)
    init, abstract = abstract_state(
        module, optimizer, SIZE, mesh, seed=0, ema=True, objective=objective
    )
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    step = processes.compiled_together(
        jax.jit(
            functools.partial(
                train_step, module=module, optimizer=optimizer, objective=objective,
                augmentation=Augmentation(flip=True, rotate_degrees=20.0, gamma=0.5),
                steps_per_epoch=2, epochs=6, ema_decay=0.9, mesh=mesh,
            ),
            in_shardings=(shardings, batch_sharding(mesh)),
            out_shardings=(shardings, replicated(mesh)),
        )
    )  # fmt: skip
    cases = random_cases()
    stream = TrainStream(
        cases, {"all": (range(CASES), 1.0)}, BATCH, 3, processes.index(), processes.count()
    )
    checkpoints = Checkpoints(folder / "checkpoints", print)
    first = checkpoints.latest_step or 0
    state = checkpoints.restore(first, abstract) if first else create_state(init, abstract, {})
    losses = []
    for _, batch in zip(range(steps), stream.starting_at(first), strict=False):
        state, metrics = step(state, put_batch(batch, mesh))
        losses.append(float(metrics["loss"]))
    checkpoints.save(first + steps, state, {"network": "small"}, score=1.0)
    checkpoints.close()
    description = Description("small", {})
    evaluator = make_evaluator(module, description, (), mesh, batch_size=BATCH, threshold=0.5)
    arrays = gather(state, mesh)
    result = {"losses": losses}
    if first + steps == UPDATES:
        result |= evaluation(evaluator, state.variables(), cases)
    if processes.is_first():
        flat = {str(i): leaf for i, leaf in enumerate(jax.tree.leaves(arrays))}
        np.savez(folder / "state.npz", **flat)
        (folder / "result.json").write_text(json.dumps(result))


def evaluation(evaluator, variables, cases):
    """Counts and scores of all cases, and the cases that each process scored."""
    scored = []

    def pitch(name, native_size):
        scored.append(name)
        return 10.0

    counts = count_cases(evaluator, variables, cases).counts
    settings = Settings(PROTOCOLS["native"], Window(16, "px"))
    scores = score_set(evaluator, variables, cases, settings, pitch)

    def listed(groups):
        return {f"{a} {b}": v.tolist() for a, group in groups.items() for b, v in group.items()}

    return {
        "counts": listed(counts),
        "ids": scores.ids,
        "table": listed(scores.values),
        "drawn": [case.id for case in scores.shown],
        "scored": processes.exchanged(lambda: scored),
    }


if __name__ == "__main__":
    address, number, index = (*sys.argv[4:], None, None, None)[:3]
    processes.start(address, number and int(number), index and int(index))
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    processes.finish(0)
