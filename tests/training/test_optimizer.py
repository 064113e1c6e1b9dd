"""Learning rates by epoch and step, and of the encoder; updates against PyTorch's optimizers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.errors import UserError
from s2a_jax.training.optimizer import (
    OptimizerConfig,
    check_encoder_rate,
    make_optimizer,
    make_schedule,
)


def reference_rates(rate, epochs, power=0.9):
    """The released code's loop: an epoch of training, then the decay."""
    rates, current = [], rate
    for epoch in range(epochs):
        rates.append(current)
        current = rate * (1 - epoch / epochs) ** power
    return np.array(rates)


def test_base_decays_after_each_epoch_as_the_reference():
    config = load_config("default")
    config.model.variant = "base"
    resolved = resolve(config)
    optimizer = OptimizerConfig(**resolved.optimizer)
    epochs, steps_per_epoch = resolved.train.epochs, 3
    schedule = jax.vmap(make_schedule(optimizer, steps_per_epoch, epochs))
    rates = np.asarray(schedule(np.arange(epochs * steps_per_epoch))).reshape(epochs, -1)
    expected = reference_rates(0.01, 500)
    np.testing.assert_allclose(expected[:3], [0.01, 0.01, 0.009982], atol=5e-8)
    np.testing.assert_allclose(expected[-1], 0.01 * 0.004**0.9)
    np.testing.assert_allclose(rates, np.repeat(expected[:, None], 3, axis=1), rtol=2e-5)


def test_steps_past_the_last_epoch_have_a_finite_rate():
    schedule = make_schedule(OptimizerConfig(), steps_per_epoch=1, epochs=4)
    np.testing.assert_allclose(
        [schedule(np.int32(step)) for step in (4, 5, 6)], [0.01 * 0.25**0.9, 0, 0], rtol=1e-5
    )


@pytest.mark.parametrize("variant", ["small", "tiny"])
def test_the_cpu_recipes_keep_their_cosine(variant):
    config = load_config("default")
    config.model.variant = variant
    optimizer = OptimizerConfig(**resolve(config).optimizer)
    schedule = make_schedule(optimizer, steps_per_epoch=10, epochs=10)
    warm_up = 3  # 3 % of 100 steps
    cosine = 0.5 * (1 + np.cos(np.pi * (np.array([3, 50, 99]) - warm_up) / (100 - warm_up)))
    found = [schedule(np.int32(step)) for step in (0, 1, 3, 50, 99)]
    np.testing.assert_allclose(found, [0, 1e-3, *(3e-3 * cosine)], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "clip_norm", "encoder", "head"),
    [
        ("sgd", 0.0, -0.5 * 0.1 * 3, -0.5 * 4),
        ("sgd", 1.0, -0.5 * 0.1 * 3 / 5, -0.5 * 4 / 5),  # clipped by the whole gradient's norm
        ("adam", 0.0, -0.5 * 0.1, -0.5),  # its first update is the rate
    ],
)
def test_the_encoders_rate_is_a_factor_of_the_learning_rate(name, clip_norm, encoder, head):
    config = OptimizerConfig(name, clip_norm=clip_norm, encoder_rate=0.1)
    optimizer = make_optimizer(config, lambda step: 0.5)
    gradient = {"encoder": {"w": np.float32(3)}, "head": np.float32(4)}
    updates, _ = optimizer.update(gradient, optimizer.init(gradient), gradient)
    np.testing.assert_allclose([updates["encoder"]["w"], updates["head"]], [encoder, head], 1e-5)
    assert config.frozen == () and OptimizerConfig(encoder_rate=0.0).frozen == ("encoder",)


def test_only_an_encoder_that_has_learned_can_be_frozen():
    model = load_config("default").model
    for rate, modules, words in (
        (0.0, ("encoder", "heads"), "encoder_rate=0 would keep the encoder's random"),
        (0.5, ("level1",), r"encoder_rate=0\.5: s2anet has no part"),
    ):
        with pytest.raises(UserError, match=words):
            check_encoder_rate(rate, model, modules)
    check_encoder_rate(1.0, model, ("level1",))
    check_encoder_rate(0.5, model, ("encoder",))
    model.start_from = "sim_to_real"
    check_encoder_rate(0.0, model, ("encoder",))


def test_a_short_run_warms_up_for_one_step():
    config = OptimizerConfig(schedule="cosine", learning_rate=1.0)
    schedule = make_schedule(config, steps_per_epoch=2, epochs=2)
    cosine = 0.5 * (1 + np.cos(np.pi * np.arange(4) / 3))
    np.testing.assert_allclose([schedule(step) for step in range(5)], [0, *cosine], atol=1e-6)
    config = OptimizerConfig(schedule="cosine", learning_rate=2.0, warmup_fraction=0.5)
    schedule = make_schedule(config, steps_per_epoch=5, epochs=4)
    np.testing.assert_allclose([schedule(step) for step in (5, 10, 20)], [1, 2, 0], atol=1e-6)


TORCH = {
    "adam": lambda p: torch.optim.Adam(p, lr=1.0, betas=(0.8, 0.95), eps=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1.0, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
    "sgd": lambda p: torch.optim.SGD(p, lr=1.0),
}


@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
@pytest.mark.parametrize("name", TORCH)
def test_updates_are_those_of_pytorch(name, clip_norm):
    """Three updates of two arrays, with a rate that changes; one gradient is below the clip."""
    start = {"a": np.array([1.0, -2.0]), "b": np.array([[0.5]])}
    gradients = [
        {"a": np.array([3.0, 0.1]), "b": np.array([[-2.0]])},
        {"a": np.array([0.1, -0.2]), "b": np.array([[0.1]])},
        {"a": np.array([-1.0, 2.0]), "b": np.array([[4.0]])},
    ]
    rates = [0.1, 0.05, 0.02]
    config = OptimizerConfig(
        name=name, b1=0.8, b2=0.95, eps=1e-3, weight_decay=0.2, clip_norm=clip_norm
    )
    optimizer = make_optimizer(config, lambda step: jnp.array(rates)[step])
    params = jax.tree.map(lambda of: jnp.asarray(of, jnp.float32), start)
    memory, update = optimizer.init(params), jax.jit(optimizer.update)
    tensors = {key: torch.tensor(of, requires_grad=True) for key, of in start.items()}
    theirs = TORCH[name](list(tensors.values()))
    for gradient, rate in zip(gradients, rates, strict=True):
        of_floats = jax.tree.map(lambda of: jnp.asarray(of, jnp.float32), gradient)
        updates, memory = update(of_floats, memory, params)
        params = optax.apply_updates(params, updates)
        norm = np.sqrt(sum((of**2).sum() for of in gradient.values()))
        factor = min(1.0, clip_norm / norm) if clip_norm else 1.0
        theirs.param_groups[0]["lr"] = rate
        for key, tensor in tensors.items():
            tensor.grad = torch.tensor(gradient[key] * factor)
        theirs.step()
        for key, tensor in tensors.items():
            np.testing.assert_allclose(params[key], tensor.detach().numpy(), rtol=1e-4)


@pytest.mark.parametrize("field", ["name", "schedule"])
def test_an_unknown_optimizer_or_schedule_is_refused(field):
    config = OptimizerConfig(**{field: "lion"})
    with pytest.raises(UserError, match=rf"config\.optimizer\.{field}='lion': expected 'ad|po"):
        make_optimizer(config, make_schedule(config, 1, 1))
