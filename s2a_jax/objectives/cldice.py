"""Soft clDice: the loss of broken and invented vessels, on soft skeletons.

Shit et al.: clDice - a novel topology-preserving loss function for tubular structure segmentation,
CVPR 2021. Opening and erosion are minima and maxima over neighbours, so that every step has a
gradient.
"""

import functools

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
    probability, target = jax.nn.sigmoid(logits[..., 0]), target[..., 0]  # [B, H, W]
    precision = _share_inside(soft_skeleton(probability, iterations), target)
    sensitivity = _share_inside(soft_skeleton(target, iterations), probability)
    return 1 - 2 * precision * sensitivity / (precision + sensitivity)


def _share_inside(skeleton: Array, mask: Array) -> Array:
    """Share of each skeleton that lies in a mask.  [B, H, W] twice -> [B] in (0, 1]."""
    inside, whole = (jnp.sum(part, (1, 2)) for part in (skeleton * mask, skeleton))
    return (inside + _SMOOTH) / (whole + _SMOOTH)


def soft_skeleton(x: Array, iterations: int) -> Array:
    """Adds up what opening removes from x, eroded 0 to `iterations` times.

    Args:
        x: [B, H, W] in [0, 1]. Beyond the image there is nothing to compare with: a structure
            that leaves the image is not eroded from there.
        iterations: number of erosions, >= 0.

    Returns:
        [B, H, W] in [0, 1]; of a mask the pixels that are left of thin structures, connected or
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
    return _lowest(x, (*_ROW, *_COLUMN))


def _dilated(x: Array) -> Array:
    """Maximum over 3x3 pixels."""
    return -_lowest(_lowest(-x, _ROW), _COLUMN)


_Steps = tuple[tuple[int, int], ...]
_ROW: _Steps = ((0, 1), (0, -1))
_COLUMN: _Steps = ((1, 0), (-1, 0))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _lowest(x: Array, steps: _Steps) -> Array:
    """Minimum over a pixel and its neighbours at `steps` (down, across); the first one of equals.

    The gradient goes to the pixel that was chosen. It is written out, in shifts, since that of a
    pooling window is a scatter, and that of nested minima computes all of them again for each
    pixel; without barriers the compiler would fuse them so, too.
    """
    return _choose(x, steps)[0]


def _choose(x: Array, steps: _Steps) -> tuple[Array, Array]:
    """The minimum, and which neighbour it is: 0 for the pixel itself, int8 [B, H, W]."""
    low, which = x, jnp.zeros(x.shape, jnp.int8)
    for number, step in enumerate(steps, 1):
        other = _shifted(x, step, jnp.inf)
        which = jnp.where(other < low, jnp.int8(number), which)
        low = jnp.minimum(low, other)
    return lax.optimization_barrier((low, which))


def _gradient(steps: _Steps, which: Array, of_low: Array) -> tuple[Array]:
    total = jnp.where(which == 0, of_low, 0)
    for number, (down, across) in enumerate(steps, 1):
        total += _shifted(jnp.where(which == number, of_low, 0), (-down, -across), 0)
    return (lax.optimization_barrier(total),)


_lowest.defvjp(_choose, _gradient)


def _shifted(x: Array, step: tuple[int, int], beyond: float) -> Array:
    """Every pixel moved by one, [B, H, W]; `beyond` comes in from outside."""
    down, across = step
    sides = ((0, 0, 0), (down, -down, 0), (across, -across, 0))
    return lax.pad(x, jnp.asarray(beyond, x.dtype), sides)
