"""Learning rates by epoch and step, and of the encoder."""

import jax
import numpy as np
import pytest

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
