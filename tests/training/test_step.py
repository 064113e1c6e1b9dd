"""Averaged parameters, and encoders that learn slowly or not at all, update by update."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from s2a_jax.models.layers import BatchNorm, Conv
from s2a_jax.objectives.joint import Objective
from s2a_jax.training.checkpoint import Checkpoints
from s2a_jax.training.sharding import make_mesh, put_batch
from s2a_jax.training.state import abstract_state, create_state
from s2a_jax.training.step import train_step

SIZE, BATCH, UPDATES = 16, 4, 5


class Encoder(nn.Module):
    """A convolution and a batch norm."""

    @nn.compact
    def __call__(self, x, *, train):
        return BatchNorm(name="bn")(Conv(64, 3, padding=1, name="conv")(x), train=train)


class Network(nn.Module):
    """An encoder and a head."""

    @nn.compact
    def __call__(self, x, *, train):
        x = jnp.repeat(x, 3, axis=-1)
        x = BatchNorm(name="bn")(Encoder(name="encoder")(x, train=train), train=train)
        x = Conv(2, 1, name="head")(nn.relu(x))
        return {"rv": x[..., :1], "faz": x[..., 1:]}


def batch():
    """The same random batch at every call."""
    images = np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE), np.uint8)
    masks = {"rv": images > 150, "faz": images < 60}
    present = {f"has_{task}": np.ones(BATCH, np.float32) for task in masks}
    return {"image": images} | {t: m.astype(np.uint8) for t, m in masks.items()} | present


@pytest.fixture(scope="module")
def states():
    """The first state, the one after each update with a frozen encoder, and their shapes."""
    mesh, optimizer = make_mesh(fsdp=2, devices=jax.devices()[:2]), optax.adam(0.1)
    frozen = ("encoder",)
    init, abstract = abstract_state(
        Network(), optimizer, SIZE, mesh, seed=0, ema=True, frozen=frozen
    )
    step = jax.jit(functools.partial(
        train_step, module=Network(), optimizer=optimizer, objective=Objective("fixed"),
        augmentation=None, steps_per_epoch=1, epochs=UPDATES, ema_decay=0.3, mesh=mesh,
        frozen=frozen,
    ))  # fmt: skip
    found = [create_state(init, abstract, {})]
    for _ in range(UPDATES):
        found.append(step(found[-1], put_batch(batch(), mesh))[0])
    return found, abstract


def test_the_average_warms_up_to_its_decay(states):
    first, *rest = jax.device_get(states[0])
    expected = first.params["head"]["kernel"].astype(np.float64)
    for k, state in enumerate(rest):
        decay = [1 / 10, 2 / 11, 3 / 12, 0.3, 0.3][k]  # 4 / 13 is more than 0.3
        expected = decay * expected + (1 - decay) * state.params["head"]["kernel"]
        np.testing.assert_allclose(
            state.ema_params["head"]["kernel"], expected, rtol=1e-5, atol=1e-7
        )
    last = rest[-1]
    assert not np.allclose(last.ema_params["head"]["kernel"], last.params["head"]["kernel"])


def test_a_frozen_encoder_stays_and_leaves_the_optimizer_no_memory(states, tmp_path):
    (first, *_, last), abstract = states
    assert not first.params["encoder"]["conv"]["kernel"].sharding.is_fully_replicated
    for before, after in (
        (first.params, last.params),
        (first.params, last.ema_params),
        (first.batch_stats, last.batch_stats),
    ):
        jax.tree.map(np.testing.assert_array_equal, after["encoder"], before["encoder"])
        changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), after["bn"], before["bn"])
        assert all(jax.tree.leaves(changed))
    adam = next(part for part in last.opt_state if hasattr(part, "mu"))
    assert adam.mu.keys() == adam.nu.keys() == {"bn", "head"}

    # It computes as in an evaluation, so the next norm sees maps of the running statistics.
    encoder = {"params": first.params["encoder"], "batch_stats": first.batch_stats["encoder"]}
    images = np.repeat(batch()["image"][..., None] / np.float32(255), 3, axis=-1)
    seen = Encoder().apply(jax.device_get(encoder), images, train=False).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(
        last.batch_stats["bn"]["mean"], (1 - 0.9**UPDATES) * seen, rtol=1e-4, atol=1e-6
    )

    checkpoints = Checkpoints(tmp_path, pytest.fail)
    checkpoints.save(2, last, {}, score=None)
    restored = checkpoints.restore(2, abstract)
    checkpoints.close()
    jax.tree.map(np.testing.assert_array_equal, restored, last)
