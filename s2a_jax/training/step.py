"""The training step and the prediction step: free, pure functions, jitted elsewhere."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.sharding import Mesh

from s2a_jax.objectives.joint import Objective
from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.forward import forward
from s2a_jax.training.sharding import parts_sharding
from s2a_jax.training.state import TrainState, trained_part

Batch = dict[str, Array]
"""`image` [B, S, S], or [B, S, S, C] with C > 1 slabs, uint8, or float32 in [0, 1]; `rv`, `faz`
uint8 [B, S, S] in {0, 1}; `has_rv`, `has_faz` [B] float32 in {0, 1}."""


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    objective: Objective,
    augmentation: Augmentation | None,
    steps_per_epoch: int,
    epochs: int,
    ema_decay: float = 0.0,
    mesh: Mesh | None = None,
    remat: str = "none",
    accumulate: int = 1,
    frozen: Collection[str] = (),
) -> tuple[TrainState, dict[str, Array]]:
    """One update: augmentation, forward, balancing, backward, optimizer.

    The epoch is computed from the step in the state, a traced number, so that nothing is compiled
    again from epoch to epoch.

    Args:
        state: the state before the update.
        batch: cases on the devices.
        module: the network.
        optimizer: the one that `state.opt_state` belongs to.
        objective: the loss and the balancer of the tasks.
        augmentation: None: images stay as they are.
        steps_per_epoch: updates in an epoch.
        epochs: epochs in the run.
        ema_decay: of the averaged parameters, at most (1 + step) / (10 + step); 0: none are kept.
        mesh: the devices that the state and the batch lie on; None: one.
        remat: what the backward pass computes again, one of `forward.REMATS`.
        accumulate: parts of the batch that are computed one after the other, with the mean of their
            gradients; batch norm's statistics, and alpha of DWB, are those of each part.
        frozen: top-level modules whose parameters and statistics stay, as in `abstract_state`; they
            compute as in an evaluation.

    Returns:
        The new state, and scalars: `loss`, `loss_rv`, `loss_faz`, `alpha`, `grad_norm`, and
        `masks_rv`, `masks_faz`, the cases of the batch with that mask; without any its loss is 0.
    """
    step_key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    augment_key, dropout_key = jax.random.split(step_key)
    images, masks = unpack(batch)
    if augmentation is not None:
        images, masks = augmentation(augment_key, images, masks)
    target = {"rv": masks[..., 0:1], "faz": masks[..., 1:2]}
    present = {"rv": batch["has_rv"], "faz": batch["has_faz"]}
    progress = (state.step // steps_per_epoch) / epochs

    def loss_fn(params: Any, learned: Any, batch_stats: Any, part: _Part) -> tuple[Array, Any]:
        logits, updated = forward(
            module,
            {"params": params | fixed, "batch_stats": batch_stats},
            part.images,
            mesh=mesh,
            remat=remat,
            frozen=frozen,
            train=True,
            rngs={"dropout": part.dropout_key},
            mutable=["batch_stats"],
        )
        loss, parts = objective(
            logits, part.target, part.present, progress, state.balance | learned, part.expected
        )
        return loss, (parts, updated["batch_stats"])

    def gradients(batch_stats: Any, part: _Part) -> tuple[Any, tuple[dict[str, Array], Any]]:
        compute = jax.grad(loss_fn, argnums=(0, 1), has_aux=True)
        return compute(trained, learned, batch_stats, part)

    trained = trained_part(state.params, frozen)
    fixed = {name: state.params[name] for name in frozen}
    learned = objective.learned(state.balance)
    whole = _Part(images, target, present, dropout_key, None)
    if accumulate == 1:
        (grads, learned_grads), (parts, batch_stats) = gradients(state.batch_stats, whole)
    else:
        (grads, learned_grads), (parts, batch_stats) = _accumulate(
            gradients, state.batch_stats, (trained, learned), _split(whole, accumulate, mesh)
        )
    updates, opt_state = optimizer.update(grads, state.opt_state, trained)
    trained = optax.apply_updates(trained, updates)
    ema_params = state.ema_params
    if ema_decay:
        # Warmed up as TensorFlow's average is, so that the first values are soon forgotten.
        decay = jnp.minimum(ema_decay, (1 + state.step) / (10 + state.step))
        average = trained_part(ema_params, frozen)
        ema_params = optax.incremental_update(trained, average, 1 - decay) | fixed
    ends_epoch = (state.step + 1) % steps_per_epoch == 0
    balance = objective.next_balance(state.balance, parts, present, ends_epoch)
    if learned:  # in a second update, so that clipping sees the network's gradient alone
        updates, memory = optimizer.update(learned_grads, balance["opt_state"], learned)
        balance |= optax.apply_updates(learned, updates) | {"opt_state": memory}
    new_state = state.replace(
        step=state.step + 1,
        params=trained | fixed,
        batch_stats=batch_stats,
        opt_state=opt_state,
        ema_params=ema_params,
        balance=balance,
    )
    counts = {f"masks_{task}": jnp.sum(of) for task, of in present.items()}
    return new_state, parts | counts | {"grad_norm": optax.tree.norm(grads)}


class _Part(NamedTuple):
    """What the loss is computed from: a batch, or a part of it; `_split` adds an axis of parts."""

    images: Array
    target: dict[str, Array]
    present: dict[str, Array]
    dropout_key: Array
    expected: dict[str, Array] | None


def _split(whole: _Part, parts: int, mesh: Mesh | None) -> _Part:
    """Part i has cases i, i + parts, ...: so every device splits its own cases.

    Returns:
        Arrays with one more axis in front, of the parts.
    """

    def split(x: Array) -> Array:
        x = jnp.swapaxes(x.reshape(-1, parts, *x.shape[1:]), 0, 1)
        return x if mesh is None else lax.with_sharding_constraint(x, parts_sharding(mesh))

    images, target, present = jax.tree.map(split, whole[:3])
    keys = jax.random.split(whole.dropout_key, parts)
    means = {task: jnp.sum(of) / parts for task, of in whole.present.items()}
    expected = jax.tree.map(lambda mean: jnp.broadcast_to(mean, (parts,)), means)
    return _Part(images, target, present, keys, expected)


def _accumulate(
    gradients: Callable[[Any, _Part], tuple[Any, tuple[dict[str, Array], Any]]],
    batch_stats: Any,
    differentiated: Any,
    parts: _Part,
) -> tuple[Any, tuple[dict[str, Array], Any]]:
    """Means over the parts of gradients and of numbers, and the statistics after the last part.

    Args:
        gradients: (statistics, part) -> gradients, (numbers, new statistics).
        batch_stats: the statistics before the first part.
        differentiated: what the gradients have the shape of.
        parts: from `_split`.
    """

    def add(carry: tuple[Any, Any], part: _Part) -> tuple[tuple[Any, Any], dict[str, Array]]:
        total, batch_stats = carry
        grads, (numbers, batch_stats) = gradients(batch_stats, part)
        return (jax.tree.map(jnp.add, total, grads), batch_stats), numbers

    zeros = jax.tree.map(jnp.zeros_like, differentiated)
    (total, batch_stats), numbers = lax.scan(add, (zeros, batch_stats), parts)
    grads = jax.tree.map(lambda g: g / len(parts.images), total)
    return grads, (jax.tree.map(lambda each: each.mean(axis=0), numbers), batch_stats)


def unpack(batch: Batch) -> tuple[Array, Array]:
    """Images [B, S, S, C], C >= 1, and both masks [B, S, S, 2], as float32 in [0, 1]."""
    masks = jnp.stack([batch["rv"], batch["faz"]], axis=-1)
    return _unit_channels(batch["image"]), masks.astype(jnp.float32)


def predict_step(
    variables: Any, images: Array, *, module: nn.Module, mesh: Mesh | None = None
) -> dict[str, Array]:
    """Probabilities of images.

    Args:
        variables: the network's variables.
        images: [B, H, W], or [B, H, W, C] with C > 1 slabs; uint8, or float32 in [0, 1].
        module: the network.
        mesh: the devices that the variables and images lie on; None: one.

    Returns:
        {"rv", "faz"}: float32 [B, H, W] in [0, 1].
    """
    logits = forward(module, variables, _unit_channels(images), mesh=mesh, train=False)
    return {task: jax.nn.sigmoid(logits[task][..., 0]) for task in ("rv", "faz")}


def _unit_channels(images: Array) -> Array:
    """[B, H, W] or [B, H, W, C] -> float32 [B, H, W, C] in [0, 1]."""
    images = images / 255.0 if images.dtype == jnp.uint8 else images
    return (images[..., None] if images.ndim == 3 else images).astype(jnp.float32)
