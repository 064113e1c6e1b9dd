"""Learned uncertainty and DWA against hand-computed numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax.objectives.adaptive import (
    dwa_alpha,
    dwa_update,
    start_dwa,
    uncertainty_alpha,
    uncertainty_loss,
)

BOTH = jnp.array([True, True])


def test_uncertainty_by_hand():
    losses, s = jnp.array([0.4, 0.1]), jnp.log(jnp.array([2.0, 0.5]))
    loss, gradient = jax.value_and_grad(uncertainty_loss, argnums=2)(losses, BOTH, s)
    # 0.4 / 2 + ln(2) / 2 + 0.1 / 0.5 + ln(0.5) / 2; the logarithms cancel.
    np.testing.assert_allclose(loss, 0.4, rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.5 - 0.2, 0.5 - 0.2], rtol=1e-6)
    np.testing.assert_allclose(uncertainty_alpha(s), 0.5 / (0.5 + 2), rtol=1e-6)


def test_the_best_variance_is_twice_the_loss():
    losses = jnp.array([0.4, 0.1])
    gradient = jax.grad(uncertainty_loss, argnums=2)(losses, BOTH, jnp.log(2 * losses))
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_a_task_without_masks_does_not_move_its_variance():
    present = jnp.array([True, False])
    gradient = jax.grad(uncertainty_loss, argnums=2)(jnp.array([0.4, 0.0]), present, jnp.zeros(2))
    np.testing.assert_allclose(gradient, [0.1, 0], atol=1e-6)


def epoch(memory, rows, present=BOTH):
    for i, row in enumerate(rows):
        memory = dwa_update(memory, jnp.array(row), present, jnp.array(i == len(rows) - 1))
    return memory


def test_dwa_by_hand():
    memory = epoch(start_dwa(), [(0.9, 0.5), (0.7, 0.3)])  # means 0.8, 0.4
    assert dwa_alpha(memory) == pytest.approx(0.5)  # one epoch shows no descent
    memory = epoch(memory, [(0.4, 0.4), (0.4, 0.2)])  # means 0.4, 0.3
    # Ratios 0.5 and 0.75: exp(0.25) / (exp(0.25) + exp(0.375)).
    assert dwa_alpha(memory) == pytest.approx(1 / (1 + np.exp(0.125)))
    within = dwa_update(memory, jnp.array([9.0, 9.0]), BOTH, jnp.array(False))
    assert dwa_alpha(within) == dwa_alpha(memory)  # constant within an epoch


def test_dwa_averages_the_steps_with_masks_alone():
    only_rv = jnp.array([True, False])
    memory = epoch(start_dwa(), [(0.8, 0.4)])
    part = dwa_update(memory, jnp.array([0.6, 9.0]), only_rv, jnp.array(False))
    part = dwa_update(part, jnp.array([0.2, 0.3]), BOTH, jnp.array(True))
    np.testing.assert_allclose(part["last"], [0.4, 0.3], rtol=1e-6)
    without = epoch(memory, [(0.6, 0.0)], only_rv)
    np.testing.assert_allclose(without["last"], [0.6, 0.4], rtol=1e-6)
    np.testing.assert_allclose(without["before_last"], [0.8, 0], rtol=1e-6)
