"""What balancers remember, from epoch to epoch and through a checkpoint."""

import functools

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest

from s2a_jax.models.layers import BatchNorm
from s2a_jax.objectives.joint import Objective
from s2a_jax.training.checkpoint import Checkpoints
from s2a_jax.training.sharding import batch_sharding, make_mesh, put_batch, replicated
from s2a_jax.training.state import abstract_state, create_state
from s2a_jax.training.step import train_step

BATCH, SIZE, EPOCH, STEPS = 8, 16, 2, 8


class Small(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        x = BatchNorm(name="bn")(nn.Conv(2, (3, 3), name="conv")(x), train=train)
        return {"rv": x[..., :1], "faz": x[..., 1:]}


def make(balance):
    """The mesh, the jitted step, the function that makes the first state, and its shapes."""
    mesh, optimizer, objective = make_mesh(fsdp=4), optax.adam(0.1), Objective(balance)
    parts = {"module": Small(), "optimizer": optimizer, "objective": objective}
    init, abstract = abstract_state(
        parts["module"], optimizer, SIZE, mesh, seed=0, ema=False, objective=objective
    )
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    step = jax.jit(
        functools.partial(
            train_step,
            **parts,
            augmentation=None,
            steps_per_epoch=EPOCH,
            epochs=STEPS // EPOCH,
            mesh=mesh,
        ),
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
    )
    return mesh, step, init, abstract


def batch(mesh, i):
    rng = np.random.default_rng(i)
    images = rng.integers(0, 256, (BATCH, SIZE, SIZE), np.uint8)
    masks = {"rv": images > 150, "faz": images < 60}
    present = {f"has_{task}": np.ones(BATCH, np.float32) for task in masks}
    arrays = {task: mask.astype(np.uint8) for task, mask in masks.items()}
    return put_batch({"image": images} | arrays | present, mesh)


@pytest.mark.parametrize("balance", ["dwa", "uncertainty"])
def test_a_resumed_run_computes_what_an_unbroken_one_does(balance, tmp_path):
    mesh, step, init, abstract = make(balance)
    state, rows = create_state(init, abstract, {}), []
    checkpoints = Checkpoints(tmp_path, pytest.fail)
    for i in range(STEPS):
        if i == 5:  # within an epoch
            checkpoints.save(i, state, {}, score=None)
        state, metrics = step(state, batch(mesh, i))
        rows.append(jax.device_get(metrics))
    resumed = checkpoints.restore(5, abstract)
    checkpoints.close()
    for i in range(5, STEPS):
        resumed, _ = step(resumed, batch(mesh, i))
    jax.tree.map(np.testing.assert_array_equal, resumed, state)
    assert step._cache_size() == 1

    alpha = [float(row["alpha"]) for row in rows]
    if balance == "uncertainty":
        # Adam's first step is the learning rate against the sign of the gradient, here 0.5 - L.
        first = [float(rows[0][f"loss_{task}"]) for task in ("rv", "faz")]
        assert alpha[0] == 0.5
        weights = np.exp(0.1 * np.sign(0.5 - np.array(first)))
        np.testing.assert_allclose(alpha[1], weights[0] / weights.sum(), rtol=1e-4)
        assert state.balance["log_variance"].all()
        return
    assert alpha[:4] == [0.5] * 4
    for e in (2, 3):
        means = [
            [np.mean([row[f"loss_{task}"] for row in rows[EPOCH * k : EPOCH * k + EPOCH]])
             for task in ("rv", "faz")]
            for k in (e - 2, e - 1)
        ]  # fmt: skip
        weights = np.exp(np.array(means[1]) / np.array(means[0]) / 2)
        np.testing.assert_allclose(alpha[EPOCH * e : EPOCH * e + EPOCH], weights[0] / weights.sum(),
                                   rtol=1e-5)  # fmt: skip
