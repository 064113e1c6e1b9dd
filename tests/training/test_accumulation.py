"""A batch in parts, against the whole batch, and against steps on the parts alone."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from s2a_jax.objectives.joint import Objective
from s2a_jax.training.sharding import make_mesh, put_batch
from s2a_jax.training.state import abstract_state, create_state
from s2a_jax.training.step import train_step

SIZE, BATCH, PARTS = 8, 32, 4


class WithoutNorm(nn.Module):
    """Two convolutions; its statistic shows which batches it has seen, in what order."""

    @nn.compact
    def __call__(self, x, *, train):
        seen = self.variable("batch_stats", "seen", jnp.zeros, ())
        if train:
            seen.value = 0.5 * seen.value + x.mean()
        x = nn.relu(nn.Conv(16, (3, 3), name="conv")(x))
        x = nn.Conv(8, (3, 3), name="mix")(x).reshape(*x.shape[:-1], 4, 2).mean(axis=-2)
        return {"rv": x[..., :1], "faz": x[..., 1:]}


def make_batch(every_mask):
    rng = np.random.default_rng(0)
    # Different cases have different brightness, so that their order can be seen.
    images = rng.integers(0, 100, (BATCH, SIZE, SIZE)) + 4 * np.arange(BATCH)[:, None, None]
    masks = {"rv": images > 110, "faz": images < 60}
    present = {f"has_{task}": np.ones(BATCH, np.float32) for task in masks}
    if not every_mask:
        present["has_rv"][3::5] = 0
        present["has_faz"][1:] = 0  # most parts have none
    arrays = {task: mask.astype(np.uint8) for task, mask in masks.items()}
    return {"image": images.astype(np.uint8)} | arrays | present


@functools.cache  # as the masks that a batch has are no part of the program
def make_step(balance, accumulate, mesh=None):
    """The jitted step, and the first state."""
    module, optimizer, objective = WithoutNorm(), optax.sgd(1.0), Objective(balance)
    place = mesh or make_mesh()
    init, abstract = abstract_state(
        module, optimizer, SIZE, place, seed=0, ema=False, objective=objective
    )
    step = functools.partial(
        train_step, module=module, optimizer=optimizer, objective=objective, augmentation=None,
        steps_per_epoch=1, epochs=3, mesh=mesh, accumulate=accumulate,
    )  # fmt: skip
    return jax.jit(step), create_state(init, abstract, {})


def update(batch, balance, accumulate, mesh=None):
    """The state after one step, and its metrics."""
    step, state = make_step(balance, accumulate, mesh)
    return jax.device_get(step(state, put_batch(batch, mesh) if mesh else batch))


def assert_close(ours, theirs):
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("every_mask", [True, False])
@pytest.mark.parametrize("balance", ["fixed", "uncertainty", "dwa"])
def test_parts_make_the_update_of_the_whole_batch(balance, every_mask):
    batch = make_batch(every_mask)
    (ours, numbers), (whole, expected) = (update(batch, balance, k) for k in (PARTS, 1))
    assert_close(ours.params, whole.params)
    assert_close(ours.balance, whole.balance)
    assert_close(numbers, expected)


def test_parts_are_balanced_and_seen_one_by_one():
    batch = make_batch(every_mask=True)
    ours, numbers = update(batch, "dwb", PARTS, make_mesh(fsdp=4))
    parts = [
        update({name: rows[i::PARTS] for name, rows in batch.items()}, "dwb", 1)
        for i in range(PARTS)
    ]
    mean = jax.tree.map(lambda *each: np.mean(each, axis=0), *(state.params for state, _ in parts))
    assert_close(ours.params, mean)  # of SGD's: steps are linear in the gradients
    for name in ("loss", "loss_rv", "loss_faz", "alpha"):
        assert_close(numbers[name], np.mean([row[name] for _, row in parts]))
    seen = 0.0
    for i in range(PARTS):
        seen = 0.5 * seen + batch["image"][i::PARTS].mean() / 255
    np.testing.assert_allclose(ours.batch_stats["seen"], seen, rtol=1e-5)
    assert ours.step == 1
