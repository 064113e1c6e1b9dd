"""Each network trains under the one step on synthetic eyes, and predicts from its weights."""

import functools

import jax
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, Mesh

from s2a_jax import S2ANet
from s2a_jax.convert.weights import save_weights
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.models.build import build_network, network_fields
from s2a_jax.objectives.joint import Objective
from s2a_jax.training.optimizer import OptimizerConfig, make_optimizer, make_schedule
from s2a_jax.training.state import abstract_state, create_state
from s2a_jax.training.step import train_step

SIZE, STEPS = 32, 12


@pytest.fixture(scope="module")
def batch():
    eyes = [synthesize_eye(seed, EyeParameters(size=SIZE)) for seed in range(2)]
    masks = {task: np.stack([getattr(eye, task) for eye in eyes]) for task in ("rv", "faz")}
    present = dict.fromkeys(("has_rv", "has_faz"), np.ones(2, np.float32))
    return masks | present | {"image": np.stack([eye.image for eye in eyes])}


@pytest.mark.parametrize("network", ["s2anet", "unet", "transunet", "jointseg", "vaffnet"])
def test_training_lowers_the_loss_and_prediction_follows(network, batch, tmp_path):
    fields = network_fields({"name": network, "variant": "tiny", "dtype": "float32"}, SIZE)
    module = build_network(network, fields)
    config = OptimizerConfig(learning_rate=1e-2)
    # Flattened: Adam on hundreds of small arrays takes long to compile.
    optimizer = optax.flatten(make_optimizer(config, make_schedule(config, 1, STEPS)))
    mesh = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("data", "fsdp"),
                axis_types=(AxisType.Auto,) * 2)  # fmt: skip
    state = create_state(
        *abstract_state(module, optimizer, SIZE, mesh, seed=0, ema=False), pretrained={}
    )
    step = jax.jit(
        functools.partial(
            train_step,
            module=module,
            optimizer=optimizer,
            objective=Objective(bce_weight=1.0),
            augmentation=None,
            steps_per_epoch=1,
            epochs=STEPS,
        )
    )
    losses = []
    for _ in range(STEPS):
        state, metrics = step(state, batch)
        losses.append(float(metrics["loss_rv"] + metrics["loss_faz"]))
    assert losses[-1] < 0.9 * losses[0]

    weights = tmp_path / "weights.safetensors"
    save_weights(weights, network, fields, jax.device_get(state.variables()))
    model = S2ANet.load_from_checkpoint(weights)
    assert model.network == network
    rv, faz = model.predict(batch["image"][0])
    assert rv.shape == faz.shape == (SIZE, SIZE)
