"""Updates of a network of four parameters, against PyTorch's gradients and formulas by hand."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from s2a_jax.models.layers import BatchNorm
from s2a_jax.objectives.joint import Objective
from s2a_jax.training.sharding import make_mesh
from s2a_jax.training.state import abstract_state, create_state
from s2a_jax.training.step import predict_step, train_step, unpack

BATCH, SIZE = 3, 8
RATE, DECAY, EPOCH, EPOCHS = 2.0, 0.2, 2, 3


class Tiny(nn.Module):
    """Batch norm, dropout that shows what it kept, and one weight a task."""

    dropout: bool = False

    @nn.compact
    def __call__(self, x, *, train):
        x = BatchNorm(name="bn")(x, train=train)
        kept = self.variable("batch_stats", "kept", jnp.ones, (BATCH, SIZE, SIZE, 1))
        if self.dropout and train:
            kept.value = 1.0 * jax.random.bernoulli(self.make_rng("dropout"), 0.5, x.shape)
            x = x * kept.value / 0.5
        weight = self.param("weight", lambda key: jnp.array([1.0, -2.0]))
        return {"rv": x * weight[0], "faz": x * weight[1]}


def darken(key, images, masks):
    """Stands for an augmentation: changes images by the key alone, and exchanges the masks."""
    return images * jax.random.uniform(key), masks[..., ::-1]


def make_batch():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, SIZE, SIZE), np.uint8)
    return {
        "image": images,
        "rv": (images > 140).astype(np.uint8),
        "faz": (images < 40).astype(np.uint8),
        "has_rv": np.ones(BATCH, np.float32),
        "has_faz": np.array([1, 0, 1], np.float32),
    }


def by_hand(params, images, masks, kept, epoch):
    """Loss, its parts, gradients, and the batch's statistics, by PyTorch in float64."""
    tensors = {
        name: torch.tensor(np.float64(of), requires_grad=True) for name, of in params.items()
    }
    x = torch.tensor(np.float64(images))
    mean, variance = x.mean(), x.var(correction=0)
    x = (x - mean) / torch.sqrt(variance + 1e-5) * tensors["scale"] + tensors["bias"]
    x = x * torch.tensor(np.float64(kept))
    losses = []
    for i, cases in enumerate(([0, 1, 2], [0, 2])):  # the second case has no FAZ
        p, t = torch.sigmoid(x * tensors["weight"][i]), torch.tensor(np.float64(masks[i]))
        dice = [1 - 2 * (p[c] * t[c]).sum() / (p[c].sum() + t[c].sum()) for c in cases]
        losses.append(sum(dice) / len(dice))
    rv, faz = losses
    alpha = 0.1 + 0.8 * np.sin(epoch / EPOCHS * np.pi / 2) + 0.1 * (rv - faz) / (rv + faz)
    loss = alpha * rv + (1 - alpha) * faz
    loss.backward()
    gradients = {name: of.grad.numpy() for name, of in tensors.items()}
    numbers = {"loss": loss, "loss_rv": rv, "loss_faz": faz, "alpha": alpha}
    numbers = {name: float(of.detach()) for name, of in numbers.items()}
    norm = np.sqrt(sum((of**2).sum() for of in gradients.values()))
    numbers |= {"grad_norm": norm, "masks_rv": 3, "masks_faz": 2}
    return numbers, gradients, (float(mean), float(x.numel() / (x.numel() - 1) * variance))


def flat(params):
    return {
        "scale": params["bn"]["scale"],
        "bias": params["bn"]["bias"],
        "weight": params["weight"],
    }


@pytest.mark.parametrize(("dropout", "augmentation"), [(False, None), (True, None), (True, darken)])
def test_three_updates_by_hand(dropout, augmentation):
    module, optimizer, batch = Tiny(dropout), optax.sgd(RATE, momentum=0.5), make_batch()
    init, abstract = abstract_state(module, optimizer, SIZE, make_mesh(), seed=5, ema=True)
    state = create_state(init, abstract, {})
    # Kept for all cases, while the network is traced with one.
    state = state.replace(
        batch_stats=state.batch_stats | {"kept": jnp.ones((BATCH, SIZE, SIZE, 1))}
    )
    step = jax.jit(
        functools.partial(
            train_step, module=module, optimizer=optimizer, objective=Objective(),
            augmentation=augmentation, steps_per_epoch=EPOCH, epochs=EPOCHS, ema_decay=DECAY,
        )
    )  # fmt: skip
    params = average = flat(jax.device_get(state.params))
    velocity = dict.fromkeys(params, 0.0)
    mean, variance, masks_kept, key = 0.0, 1.0, [], state.key
    for number in range(3):
        images, masks = batch["image"][..., None] / 255, (batch["rv"], batch["faz"])
        if augmentation:
            # As the docstring of the state's `key` says; the first half is the augmentation's.
            run_key = jax.random.wrap_key_data(key)
            drawn = jax.random.split(jax.random.fold_in(run_key, number))[0]
            images, masks = images * float(jax.random.uniform(drawn)), masks[::-1]
        state, metrics = step(state, batch)
        kept = np.asarray(state.batch_stats["kept"])
        masks_kept.append(kept)
        numbers, gradients, (batch_mean, batch_variance) = by_hand(
            params, images, [mask[..., None] for mask in masks], kept / (0.5 if dropout else 1),
            epoch=number // 2,
        )  # fmt: skip
        assert metrics.keys() == numbers.keys()
        for name, expected in numbers.items():
            np.testing.assert_allclose(metrics[name], expected, rtol=2e-5, err_msg=name)
        velocity = {name: 0.5 * velocity[name] + of for name, of in gradients.items()}
        params = {name: of - RATE * velocity[name] for name, of in params.items()}
        decay = [1 / 10, 2 / 11, DECAY][number]  # it warms up
        average = {name: decay * of + (1 - decay) * params[name] for name, of in average.items()}
        for ours, theirs in ((state.params, params), (state.ema_params, average)):
            for name, expected in theirs.items():
                np.testing.assert_allclose(flat(ours)[name], expected, rtol=1e-4, atol=1e-6)
        mean, variance = 0.9 * mean + 0.1 * batch_mean, 0.9 * variance + 0.1 * batch_variance
        np.testing.assert_allclose(state.batch_stats["bn"]["mean"], mean, rtol=1e-5)
        np.testing.assert_allclose(state.batch_stats["bn"]["var"], variance, rtol=1e-5)
        assert state.step == number + 1 and (state.key == key).all()
    if dropout:
        assert all(0.4 < kept.mean() < 0.6 for kept in masks_kept)
        first, second, third = masks_kept
        assert (first != second).any() and (second != third).any() and (first != third).any()
    assert np.abs(params["weight"] - average["weight"]).max() > 1e-3


def test_without_a_decay_no_average_is_kept():
    module, optimizer = Tiny(), optax.sgd(RATE)
    init, abstract = abstract_state(module, optimizer, SIZE, make_mesh(), seed=0, ema=False)
    state = create_state(init, abstract, {})
    assert state.ema_params == {} and state.variables()["params"] is state.params
    averaged = state.replace(ema_params={"weight": jnp.zeros(2)})
    assert averaged.variables() == {
        "params": averaged.ema_params, "batch_stats": state.batch_stats
    }  # fmt: skip


def test_the_seed_decides_on_parameters_and_on_the_key():
    class Drawn(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            BatchNorm(name="bn")(x, train=train)
            return self.param("drawn", nn.initializers.normal(), (4,))

    def start(seed):
        parts = Drawn(), optax.sgd(RATE), SIZE, make_mesh()
        return create_state(*abstract_state(*parts, seed=seed, ema=True), {})

    first, again, other = start(1), start(1), start(2)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert (first.params["drawn"] != other.params["drawn"]).all()
    assert (first.key != other.key).any()
    assert (first.key != jax.random.key_data(jax.random.key(1))).any()
    np.testing.assert_array_equal(first.ema_params["drawn"], first.params["drawn"])
    assert first.step == 0 and first.step.dtype == jnp.int32


def test_prediction_uses_running_statistics_and_drops_nothing():
    variables = {
        "params": {"bn": {"scale": jnp.array([2.0]), "bias": jnp.array([0.5])},
                   "weight": jnp.array([1.0, -2.0])},
        "batch_stats": {"bn": {"mean": jnp.array([0.25]), "var": jnp.array([4.0])},
                        "kept": jnp.ones((BATCH, SIZE, SIZE, 1))},
    }  # fmt: skip
    bytes_ = make_batch()["image"]
    x = (bytes_ / 255 - 0.25) / np.sqrt(4 + 1e-5) * 2 + 0.5
    for images in (bytes_, (bytes_ / 255).astype(np.float32), bytes_[..., None]):
        found = predict_step(variables, jnp.asarray(images), module=Tiny(dropout=True))
        assert found["rv"].shape == (BATCH, SIZE, SIZE) and found["rv"].dtype == jnp.float32
        np.testing.assert_allclose(found["rv"], 1 / (1 + np.exp(-x)), rtol=1e-5)
        np.testing.assert_allclose(found["faz"], 1 / (1 + np.exp(2 * x)), rtol=1e-5)


def test_unpacking_keeps_the_order_of_masks_and_slabs():
    batch = make_batch()
    images, masks = unpack(jax.tree.map(jnp.asarray, batch))
    np.testing.assert_allclose(images, batch["image"][..., None] / 255, rtol=1e-6)
    np.testing.assert_array_equal(masks[..., 0], batch["rv"])
    np.testing.assert_array_equal(masks[..., 1], batch["faz"])
    slabs = np.stack([batch["image"], 255 - batch["image"]], axis=-1)
    images, _ = unpack(jax.tree.map(jnp.asarray, batch | {"image": slabs}))
    np.testing.assert_allclose(images, slabs / 255, rtol=1e-6)
