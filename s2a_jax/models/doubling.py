"""Doubling of a map and the 3x3 convolution after it, folded into one.

Interpolation and products over the channels commute. Folded, each tap's product is taken on a
quarter of the pixels, and its features are interpolated in place of the map's channels.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2a_jax.models.convolution import (
    convolution_with_products,
    precise_product,
    product,
    xla_convolution,
)
from s2a_jax.models.platforms import by_platform


def convolve_doubled(x: Array, kernel: Array) -> Array:
    """A 3x3 convolution of the doubled map.  [B, H, W, C], [3, 3, C, F] -> [B, 2H, 2W, F].

    Equals `convolve(upsample2x_align_corners(x), kernel, padding=(1, 1))`. Interpolation and
    product over the channels commute: folded, each tap's product is taken on a quarter of the
    pixels, and its F channels are interpolated in place of x's C.
    """
    return _doubled(x, kernel)


def convolve_doubled_with_skip(x: Array, skip: Array, kernel: Array) -> Array:
    """The same of the doubled map joined with a skip.

    [B, H, W, C], [B, 2H, 2W, S], [3, 3, C + S, F] -> [B, 2H, 2W, F].
    """
    return _doubled_with_skip(x, skip, kernel)


def upsample2x_align_corners(x: Array) -> Array:
    """Doubles H and W bilinearly with aligned corners.  [B, H, W, C] -> [B, 2H, 2W, C].

    Equals `torch.nn.functional.interpolate(scale_factor=2, mode="bilinear", align_corners=True)`.
    """
    return _double_axis(_double_axis(x, 1), 2)


def _plain(x: Array, kernel: Array) -> Array:
    return xla_convolution(upsample2x_align_corners(x), kernel)


def _plain_with_skip(x: Array, skip: Array, kernel: Array) -> Array:
    joined = jnp.concatenate([upsample2x_align_corners(x), skip], axis=-1)
    return xla_convolution(joined, kernel)


def _folded_with_skip(x: Array, skip: Array, kernel: Array) -> Array:
    of_x, of_skip = jnp.split(kernel, [x.shape[-1]], axis=2)
    return _folded(x, of_x) + convolution_with_products(skip, of_skip)


def _folded(x: Array, kernel: Array) -> Array:
    """The fold with interpolation by shifted copies."""
    return _doubled_sum(_tap_products(x, kernel)).astype(x.dtype)


@jax.custom_vjp
def _doubled_sum(taps: Array) -> Array:
    """Each tap's map doubled and shifted, and all summed.  [B, H, W, 3, 3, F] -> [B, 2H, 2W, F]."""
    columns = sum(_shifted(_double_axis(taps[..., j, :], 2), 2, j - 1) for j in range(3))
    return sum(_shifted(_double_axis(columns[..., i, :], 1), 1, i - 1) for i in range(3))


def _doubled_sum_forward(taps: Array) -> tuple[Array, None]:
    return _doubled_sum(taps), None


def _doubled_sum_backward(_: None, gradient: Array) -> tuple[Array]:
    """Joins the taps' gradients; JAX's own would pad each to all nine taps, and add."""

    def to_taps(gradient: Array, axis: int) -> Array:
        """Adds an axis of three taps before the channels."""
        taps = [_halve_axis(gradient, axis, 1 - i) for i in range(3)]
        return jnp.stack(taps, axis=-2)

    return (to_taps(to_taps(gradient, 1), 2),)


_doubled_sum.defvjp(_doubled_sum_forward, _doubled_sum_backward)


def _folded_with_matrices(x: Array, kernel: Array) -> Array:
    """The fold with interpolation and shift as products with two matrices.

    The taps of an axis lie one after the other along it, so that each product fills a matrix unit.
    """
    height, width, channels = x.shape[1:]
    features = kernel.shape[-1]
    wide = kernel.transpose(1, 2, 0, 3).reshape(3, channels, 3 * features)
    taps = jnp.concatenate([product(x, wide[j]) for j in range(3)], axis=2)  # [B, H, 3W, 3F]
    columns = jnp.einsum("qv,bhvn->bhqn", _shifted_doubling(width, x.dtype), taps)
    columns = jnp.concatenate(jnp.split(columns, 3, axis=-1), axis=1)  # [B, 3H, 2W, F]
    return jnp.einsum("pu,buqf->bpqf", _shifted_doubling(height, x.dtype), columns)


def _tap_products(x: Array, kernel: Array) -> Array:
    """Each pixel's product with each of the nine taps.  -> [B, H, W, 3, 3, F], float32 at least."""
    channels, features = kernel.shape[2:]
    wide = kernel.transpose(2, 0, 1, 3).reshape(channels, 9 * features)
    return precise_product(x, wide).reshape(*x.shape[:3], 3, 3, features)


def _shifted(x: Array, axis: int, step: int) -> Array:
    """Pixel p + step of `x` at p along one axis, 0 outside."""
    if step == 0:
        return x
    pads = [(0, 0, 0)] * x.ndim
    pads[axis] = (-step, step, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), pads)


def _shifted_doubling(n: int, dtype: Any) -> Array:
    """Matrices side by side that double an axis of n pixels and shift it by -1, 0, 1.  [2n, 3n]."""
    doubled = _double_axis(jnp.eye(n, dtype=jnp.promote_types(dtype, jnp.float32)), 0)
    shifted = [_shifted(doubled, 0, step) for step in (-1, 0, 1)]
    return jnp.concatenate(shifted, axis=1).astype(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _double_axis(x: Array, axis: int) -> Array:
    """Doubles one axis of n pixels: output pixel i lies at i * (n - 1) / (2n - 1).

    That is between k - 1 and k for i = 2k, and between k and k + 1 for i = 2k + 1. So two shifted
    copies and a fixed ramp of weights suffice; the gradient of a gather would be a scatter.
    """
    n = x.shape[axis]
    to_previous, to_next = _doubling_weights(n, x, axis)
    first, last = lax.slice_in_dim(x, 0, 1, axis=axis), lax.slice_in_dim(x, n - 1, n, axis=axis)
    # The edge copies get weight zero: they only keep the shapes equal.
    previous = jnp.concatenate([first, lax.slice_in_dim(x, 0, n - 1, axis=axis)], axis)
    following = jnp.concatenate([lax.slice_in_dim(x, 1, n, axis=axis), last], axis)
    even = x + (previous - x) * to_previous
    odd = x + (following - x) * to_next
    doubled = [*x.shape[:axis], 2 * n, *x.shape[axis + 1 :]]
    return jnp.stack([even, odd], axis + 1).reshape(doubled)


def _double_forward(x: Array, axis: int) -> tuple[Array, None]:
    return _double_axis(x, axis), None


def _double_backward(axis: int, _: None, gradient: Array) -> tuple[Array]:
    return (_halve_axis(gradient, axis),)


_double_axis.defvjp(_double_forward, _double_backward)


def _halve_axis(gradient: Array, axis: int, step: int = 0) -> Array:
    """The transpose of `_double_axis`, of `_shifted(gradient, axis, step)`.

    Each pixel is a weighted sum of four, read from one padded array; JAX's own transpose would be a
    sum of several.
    """
    n = gradient.shape[axis] // 2
    to_previous, to_next = _doubling_weights(n, gradient, axis)
    pads = [(0, 0)] * gradient.ndim
    pads[axis] = (2, 2)
    padded = jnp.pad(gradient, pads)

    def pixel(offset: int) -> Array:
        """Pixels 2k + offset of the shifted gradient."""
        first = 2 + offset + step
        return lax.slice_in_dim(padded, first, first + 2 * n - 1, 2, axis)

    return (
        pixel(0) * (1 - to_previous)
        + pixel(1) * (1 - to_next)
        + pixel(2) * _shifted(to_previous, axis, 1)  # pixel k is the previous one there
        + pixel(-1) * _shifted(to_next, axis, -1)  # and here the next one
    )


def _doubling_weights(n: int, like: Array, axis: int) -> tuple[Array, Array]:
    """Weights k / (2n - 1) of pixel k - 1 at 2k, and (n - 1 - k) / (2n - 1) of k + 1 at 2k + 1.

    They lie along one axis of arrays such as `like`, and have its type.
    """
    shape = [1] * like.ndim
    shape[axis] = n
    ramp = jnp.arange(n, dtype=jnp.promote_types(like.dtype, jnp.float32)) / (2 * n - 1)
    return ramp.reshape(shape).astype(like.dtype), ramp[::-1].reshape(shape).astype(like.dtype)


_doubled = by_platform(_plain, cpu=_folded, tpu=_folded_with_matrices)

# On a TPU the skip would take a convolution of its own, and the fold more memory traffic.
_doubled_with_skip = by_platform(_plain_with_skip, cpu=_folded_with_skip)
