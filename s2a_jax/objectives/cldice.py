"""Soft clDice: the loss of broken and invented vessels, on soft skeletons.

Shit et al.: clDice - a novel topology-preserving loss function for tubular structure segmentation,
CVPR 2021. Opening and erosion are minima and maxima over neighbours, so that every step has a
gradient.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

_SMOOTH = 1.0
"""The authors' constant in both ratios, pixels: an empty skeleton gives 1, and no division by 0."""


def soft_cldice_loss(logits: Array, target: Array, iterations: int) -> Array:
    """1 - the harmonic mean of topology precision and topology sensitivity.

    Precision is the share of the prediction's skeleton that lies in the truth, sensitivity the
    share of the truth's skeleton that lies in the prediction.

    Args:
        logits: [B, H, W, 1].
        target: [B, H, W, 1] in {0, 1}.
        iterations: erosions of the skeleton, >= 0: the radius of the widest vessel in pixels.

    Returns:
        [B] in [0, 1].
    """
    probability = jax.nn.sigmoid(logits)
    both = jnp.concatenate([probability, target], axis=-1)
    skeletons = soft_skeleton(both, iterations)
    axes = (1, 2)
    # Of the prediction's skeleton the truth is summed, and the reverse.
    inside = jnp.sum(skeletons * both[..., ::-1], axes)
    shares = (inside + _SMOOTH) / (jnp.sum(skeletons, axes) + _SMOOTH)  # [B, 2]
    return 1 - 2 * jnp.prod(shares, axis=-1) / jnp.sum(shares, axis=-1)


def soft_skeleton(x: Array, iterations: int) -> Array:
    """Adds up what opening removes from x, eroded 0 to `iterations` times.

    Args:
        x: [B, H, W, C] in [0, 1]. Beyond the image there is nothing to compare with: a structure
            that leaves the image is not eroded from there.
        iterations: number of erosions, >= 0.

    Returns:
        [B, H, W, C] in [0, 1]; of a mask the pixels that are left of thin structures, connected or
        not.
    """

    def add(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        x, skeleton = carry
        x = _eroded(x)
        return (x, skeleton + (1 - skeleton) * _removed(x)), None

    (_, skeleton), _ = lax.scan(add, (x, _removed(x)), length=iterations)
    return skeleton


def _removed(x: Array) -> Array:
    """What opening removes, >= 0."""
    return jax.nn.relu(x - _dilated(_eroded(x)))


def _eroded(x: Array) -> Array:
    """Minimum over a pixel and its four neighbours."""
    return jnp.minimum(_over_three(jnp.minimum, x, 1), _over_three(jnp.minimum, x, 2))


def _dilated(x: Array) -> Array:
    """Maximum over 3x3 pixels."""
    return _over_three(jnp.maximum, _over_three(jnp.maximum, x, 1), 2)


def _over_three(choose: Callable[[Array, Array], Array], x: Array, axis: int) -> Array:
    """Minimum or maximum over a pixel and its two neighbours along an axis.

    In shifts, since the gradient of a pooling window is a scatter, many times slower on CPUs.
    """
    size = x.shape[axis]
    first = lax.slice_in_dim(x, 0, 1, axis=axis)
    last = lax.slice_in_dim(x, size - 1, size, axis=axis)
    before = jnp.concatenate([first, lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis)
    after = jnp.concatenate([lax.slice_in_dim(x, 1, size, axis=axis), last], axis)
    return choose(choose(before, after), x)
