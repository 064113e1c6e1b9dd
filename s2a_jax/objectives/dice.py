"""Losses of one task, per image."""

import jax.numpy as jnp
import optax
from jax import Array
from jax.nn import sigmoid

EPSILON = 1e-12


def soft_dice_loss(logits: Array, target: Array) -> Array:
    """Soft Dice loss on probabilities (not squared).

    Args:
        logits: [B, H, W, 1].
        target: [B, H, W, 1] in {0, 1}.

    Returns:
        [B] in [0, 1]: 1 - (2 * sum(p * t) + eps) / (sum(p) + sum(t) + eps), eps = 1e-12.
    """
    probability = sigmoid(logits)
    axes = (1, 2, 3)
    overlap = jnp.sum(probability * target, axes)
    total = jnp.sum(probability, axes) + jnp.sum(target, axes)
    return 1 - (2 * overlap + EPSILON) / (total + EPSILON)


def binary_cross_entropy(logits: Array, target: Array) -> Array:
    """Mean binary cross-entropy of each image.  [B, H, W, 1] twice -> [B] in nats."""
    return optax.sigmoid_binary_cross_entropy(logits, target).mean(axis=(1, 2, 3))


def masked_mean(values: Array, weight: Array) -> Array:
    """Mean of `values` [B] over the cases with `weight` [B] 1; 0 if there are none."""
    return jnp.sum(values * weight) / jnp.maximum(jnp.sum(weight), 1)
