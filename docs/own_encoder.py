"""Train LCEM, GCEM and DWB on an encoder of your own: python -m docs.own_encoder"""

from functools import partial

import flax.linen as nn
import jax
import numpy as np
import optax

from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.models.context import ContextHeads, Features
from s2a_jax.objectives.joint import Objective
from s2a_jax.training.state import TrainState
from s2a_jax.training.step import train_step


class MyNetwork(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        maps = []
        for width in (8, 16, 24, 32):  # at 1/2, 1/4, 1/8, 1/16 of the image's size
            maps.append(x := nn.relu(nn.Conv(width, (3, 3), strides=2)(x)))
        late = nn.relu(nn.Conv(32, (3, 3))(x))
        features = Features(blocks=(x, late), skips=tuple(maps[2::-1]))  # coarse to fine
        return ContextHeads((0,), (1,), 16, (16, 12, 8, 8))(features, train=train)


eyes = [synthesize_eye(seed, EyeParameters(size=96)) for seed in range(4)]
batch = {name: np.stack([getattr(eye, name) for eye in eyes]) for name in ("image", "rv", "faz")}
batch |= {"has_rv": np.ones(4), "has_faz": np.ones(4)}
module, optimizer, key = MyNetwork(), optax.adam(1e-2), jax.random.key(0)
weights = jax.jit(partial(module.init, train=False))(key, batch["image"][..., None] / 255)
params, key = weights["params"], jax.random.key_data(key)
state = TrainState(np.int32(0), params, weights["batch_stats"], optimizer.init(params), {}, key)
parts = {"module": module, "optimizer": optimizer, "objective": Objective(balance="dwb")}
step = jax.jit(partial(train_step, augmentation=None, steps_per_epoch=1, epochs=30, **parts))
for i in range(30):
    state, metrics = step(state, batch)
    print(f"step {i}: loss {metrics['loss']:.4f}, alpha {metrics['alpha']:.3f}")
