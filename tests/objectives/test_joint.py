"""The joint objective: Dice, alpha, and cases without a mask."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax.objectives.balancing import loss_ratio
from s2a_jax.objectives.dice import binary_cross_entropy, masked_mean, soft_dice_loss
from s2a_jax.objectives.joint import Objective

RNG = np.random.default_rng(0)
LOGITS = {task: jnp.asarray(RNG.normal(size=(2, 8, 8, 1)), jnp.float32) for task in ("rv", "faz")}
TARGET = {
    task: jnp.asarray(RNG.uniform(size=(2, 8, 8, 1)) < 0.3, jnp.float32) for task in ("rv", "faz")
}
BOTH = {"rv": jnp.ones(2), "faz": jnp.ones(2)}


def test_soft_dice_is_its_definition():
    p, t = 1 / (1 + np.exp(-np.asarray(LOGITS["rv"]))), np.asarray(TARGET["rv"])
    expected = [1 - 2 * (p[i] * t[i]).sum() / (p[i].sum() + t[i].sum()) for i in range(2)]
    np.testing.assert_allclose(soft_dice_loss(LOGITS["rv"], TARGET["rv"]), expected, atol=1e-6)


def test_an_empty_mask_that_is_predicted_empty_has_no_loss():
    nothing, everything = jnp.full((1, 8, 8, 1), -1e4), jnp.full((1, 8, 8, 1), 1e4)
    empty = jnp.zeros((1, 8, 8, 1))
    assert soft_dice_loss(nothing, empty)[0] == 0
    assert soft_dice_loss(everything, empty)[0] == 1
    assert soft_dice_loss(everything, empty + 1)[0] == 0


def test_cross_entropy_and_its_weight_by_hand():
    logits = jnp.array([[0.0, 1.0], [-2.0, 0.0]]).reshape(2, 1, 2, 1)
    target = jnp.array([[1.0, 0.0], [0.0, 1.0]]).reshape(2, 1, 2, 1)
    ln2 = np.log(2)
    by_hand = [(ln2 + np.log1p(np.e)) / 2, (np.log1p(np.exp(-2)) + ln2) / 2]
    np.testing.assert_allclose(binary_cross_entropy(logits, target), by_hand, rtol=1e-6)
    both = {"rv": logits, "faz": logits}, {"rv": target, "faz": 1 - target}, BOTH, 0.0
    plain, weighted = (Objective(bce_weight=weight)(*both)[1] for weight in (0.0, 0.5))
    added = weighted["loss_rv"] - plain["loss_rv"]
    np.testing.assert_allclose(added, 0.5 * np.mean(by_hand), rtol=1e-5)


def test_means_leave_out_absent_cases():
    values = jnp.array([1.0, 5.0, 9.0])
    assert masked_mean(values, jnp.array([1.0, 0.0, 1.0])) == 5
    assert masked_mean(values, jnp.array([1.0, 1.0, 0.0])) == 3
    assert masked_mean(values, jnp.zeros(3)) == 0


@pytest.mark.parametrize(
    ("balance", "progress", "scheduled"),
    [
        ("dwb", 0.0, 0.1),
        ("dwb", 0.25, 0.1 + 0.8 * np.sin(np.pi / 8)),
        ("dwb_half_sine", 0.25, 0.5 - 0.4 * np.sin(np.pi / 4)),
        ("dwb", 0.5, 0.1 + 0.8 * np.sin(np.pi / 4)),
        ("dwb_half_sine", 0.0, 0.1),
        ("dwb_half_sine", 0.5, 0.5),
    ],
)
def test_alpha(balance, progress, scheduled):
    loss, parts = Objective(balance)(LOGITS, TARGET, BOTH, progress)
    rv, faz = parts["loss_rv"], parts["loss_faz"]
    np.testing.assert_allclose(parts["alpha"], scheduled + 0.1 * (rv - faz) / (rv + faz), atol=1e-6)
    np.testing.assert_allclose(loss, parts["alpha"] * rv + (1 - parts["alpha"]) * faz, atol=1e-6)


def test_fixed_weights():
    loss, parts = Objective("fixed", fixed_rv_weight=0.7)(LOGITS, TARGET, BOTH, 0.5)
    assert parts["alpha"] == pytest.approx(0.7)
    assert parts["loss_rv"] == pytest.approx(soft_dice_loss(LOGITS["rv"], TARGET["rv"]).mean())
    assert parts["loss_faz"] == pytest.approx(soft_dice_loss(LOGITS["faz"], TARGET["faz"]).mean())
    assert loss == pytest.approx(0.7 * parts["loss_rv"] + 0.3 * parts["loss_faz"])
    defaults = Objective()
    assert (defaults.balance, defaults.fixed_rv_weight, defaults.bce_weight) == ("dwb", 0.8, 0)


def test_the_gradient_flows_through_alpha_unless_stopped():
    def gradient(stop):
        objective = Objective(stop_alpha_gradient=stop)
        return jax.jit(jax.grad(lambda z: objective(z, TARGET, BOTH, 0.5)[0]))(LOGITS)["rv"]

    alpha = Objective()(LOGITS, TARGET, BOTH, 0.5)[1]["alpha"]
    alone = jax.jit(jax.grad(lambda z: soft_dice_loss(z, TARGET["rv"]).mean()))(LOGITS["rv"])
    np.testing.assert_allclose(gradient(True), alpha * alone, atol=1e-6)
    assert jnp.abs(gradient(False) - gradient(True)).max() > 1e-6


def test_a_case_without_a_mask_adds_nothing():
    present = BOTH | {"faz": jnp.array([1.0, 0.0])}
    garbage = TARGET | {"faz": TARGET["faz"].at[1].set(jnp.nan)}
    _, parts = Objective(bce_weight=1.0)(LOGITS, garbage, present, 0.5)
    first = jax.tree.map(lambda a: a[:1], (LOGITS, TARGET, BOTH))
    _, expected = Objective(bce_weight=1.0)(*first, 0.5)
    np.testing.assert_allclose(parts["loss_faz"], expected["loss_faz"], atol=1e-6)


@pytest.mark.parametrize("missing", [("faz",), ("rv",), ("rv", "faz")])
def test_batches_without_masks_stay_finite(missing):
    present = BOTH | {task: jnp.zeros(2) for task in missing}
    objective = Objective(bce_weight=1.0)
    grads, parts = jax.grad(objective, has_aux=True)(LOGITS, TARGET, present, 0.0)
    assert parts["alpha"] == pytest.approx(0.1)
    for task in ("rv", "faz"):
        assert jnp.isfinite(grads[task]).all()
        assert bool((grads[task] == 0).all()) == (task in missing)
        assert bool(parts[f"loss_{task}"] == 0) == (task in missing)


@pytest.mark.parametrize(
    ("rv", "faz", "both", "expected"),
    [(0.3, 0.1, True, 0.5), (0.3, 0.1, False, 0.0), (0.0, 0.0, True, 0.0), (0.0, 0.2, True, -1.0)],
)
def test_the_ratio_of_losses_is_0_where_it_is_undefined(rv, faz, both, expected):
    ratio, slope = jax.value_and_grad(loss_ratio)(
        jnp.float32(rv), jnp.float32(faz), jnp.asarray(both)
    )
    assert float(ratio) == pytest.approx(expected)
    assert np.isfinite(float(slope))
