"""Averaged parameters, update by update."""

import functools

import flax.linen as nn
import jax
import numpy as np
import optax

from s2a_jax.models.layers import BatchNorm, Conv
from s2a_jax.objectives.joint import Objective
from s2a_jax.training.sharding import make_mesh
from s2a_jax.training.state import abstract_state, create_state
from s2a_jax.training.step import train_step

SIZE, BATCH = 16, 4
ONE = make_mesh(devices=jax.devices()[:1])


class Encoder(nn.Module):
    """A convolution and a batch norm."""

    @nn.compact
    def __call__(self, x, *, train):
        return BatchNorm(name="bn")(Conv(8, 3, padding=1, name="conv")(x), train=train)


class Network(nn.Module):
    """An encoder and a head."""

    @nn.compact
    def __call__(self, x, *, train):
        x = BatchNorm(name="bn")(Encoder(name="encoder")(x, train=train), train=train)
        x = Conv(2, 1, name="head")(nn.relu(x))
        return {"rv": x[..., :1], "faz": x[..., 1:]}


def batch():
    """The same random batch at every call."""
    images = np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE), np.uint8)
    masks = {"rv": images > 150, "faz": images < 60}
    present = {f"has_{task}": np.ones(BATCH, np.float32) for task in masks}
    return {"image": images} | {t: m.astype(np.uint8) for t, m in masks.items()} | present


def states(optimizer, updates, ema_decay=0.0):
    """The first state, and the one after each update."""
    init, abstract = abstract_state(Network(), optimizer, SIZE, ONE, seed=0, ema=ema_decay > 0)
    step = jax.jit(functools.partial(
        train_step, module=Network(), optimizer=optimizer, objective=Objective("fixed"),
        augmentation=None, steps_per_epoch=1, epochs=updates, ema_decay=ema_decay,
    ))  # fmt: skip
    found = [create_state(init, abstract, {})]
    for _ in range(updates):
        found.append(step(found[-1], batch())[0])
    return jax.device_get(found)


def test_the_average_warms_up_to_its_decay():
    first, *rest = states(optax.sgd(1.0), updates=6, ema_decay=0.3)
    expected = first.params["head"]["kernel"].astype(np.float64)
    for k, state in enumerate(rest):
        decay = [1 / 10, 2 / 11, 3 / 12, 0.3, 0.3, 0.3][k]  # 4 / 13 is more than 0.3
        expected = decay * expected + (1 - decay) * state.params["head"]["kernel"]
        np.testing.assert_allclose(
            state.ema_params["head"]["kernel"], expected, rtol=1e-5, atol=1e-7
        )
    last = rest[-1]
    assert not np.allclose(last.ema_params["head"]["kernel"], last.params["head"]["kernel"])
