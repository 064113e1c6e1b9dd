"""Convolutions and products in the form that each platform computes fastest.

The numbers are the same up to rounding. `benchmarks/convolutions.py` measures the forms.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array, lax

from s2a_jax.models.platforms import by_platform

_FEW_CHANNELS = 4
"""Maps of up to this many channels, an image's, are halved by way of their depth."""

_FEW_PIXELS = 2048
"""Maps up to this many pixels take their kernel's gradient as one matrix product."""

_ROWS = 4
"""Rows of a larger map that go into one product."""


def convolve(
    x: Array,
    kernel: Array,
    *,
    strides: int = 1,
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> Array:
    """Convolution with zero padding.  [B, H, W, C], [h, w, C, F] -> [B, H', W', F].

    Args:
        x: the maps.
        kernel: of the same type.
        strides: step in pixels in both directions.
        padding: (vertical, horizontal) zero pixels on each side.
        dilation: (vertical, horizontal) distance in pixels between taps.
    """
    height, width = kernel.shape[:2]
    keeps_size = padding == (height // 2, width // 2) and height % 2 == width % 2 == 1
    if strides == 1 and dilation == (1, 1) and keeps_size:
        return _pointwise(x, kernel) if height == width == 1 else _same_convolution(x, kernel)
    if strides == 2 and dilation == (1, 1) and keeps_size:
        if height == width == 1:
            return _halving_pointwise(x, kernel)
        are_sides_even = x.shape[1] % 2 == x.shape[2] % 2 == 0
        if x.shape[-1] <= _FEW_CHANNELS and are_sides_even:
            return _halving_of_few_channels(x, kernel)
    return xla_convolution(x, kernel, strides=strides, padding=padding, dilation=dilation)


def product(x: Array, kernel: Array) -> Array:
    """Matrix product on the last axis.  [..., C], [C, F] -> [..., F].

    bfloat16 is summed in float32, and XLA is told so: otherwise it does not use the units that
    processors have for it.
    """
    return precise_product(x, kernel).astype(x.dtype)


def xla_convolution(
    x: Array,
    kernel: Array,
    *,
    strides: int = 1,
    padding: tuple[int, int] | None = None,
    dilation: tuple[int, int] = (1, 1),
) -> Array:
    """XLA's convolution; without `padding` it keeps the size, or halves it."""
    down, across = padding or (kernel.shape[0] // 2, kernel.shape[1] // 2)
    return lax.conv_general_dilated(
        x,
        kernel,
        (strides, strides),
        ((down, down), (across, across)),
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _halving_by_depth(x: Array, kernel: Array) -> Array:
    """A convolution of stride 2 as one of stride 1 on a quarter of the pixels.

    Each 2x2 pixels become one with four times the channels. XLA's convolution of three channels
    takes up to ten times as long on CPUs, depending on the number of features.
    """
    batch, height, width, channels = x.shape
    features = kernel.shape[-1]
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // 2, width // 2, 4 * channels)
    pads, taps, befores = [], [], []
    for n in kernel.shape[:2]:
        first = n // 2 % 2  # a tap of weight 0, so that the first one meets an even pixel
        pads.append((first, (first + n) % 2))
        taps.append((first + n + 1) // 2)
        befores.append((n // 2 + first) // 2)
    kernel = jnp.pad(kernel, (*pads, (0, 0), (0, 0)))
    kernel = kernel.reshape(taps[0], 2, taps[1], 2, channels, features)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(*taps, 4 * channels, features)
    return convolution_with_products(x, kernel, tuple(befores))


def _product_of_halved(x: Array, kernel: Array) -> Array:
    """A 1x1 convolution of stride 2 as a matrix product."""
    return _product(x[:, ::2, ::2], kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolution_with_products(
    x: Array, kernel: Array, before: tuple[int, int] | None = None
) -> Array:
    """XLA's convolution that keeps the size; its kernel's gradient is computed by matrix products.

    XLA's own is three to five times slower on CPUs.

    Args:
        x: [B, H, W, C].
        kernel: [h, w, C, F].
        before: zero pixels above and on the left; without, half the kernel's size.
    """
    return _same_size(x, kernel, before)


def _same_size(x: Array, kernel: Array, before: tuple[int, int] | None) -> Array:
    taps = kernel.shape[:2]
    before = before or (taps[0] // 2, taps[1] // 2)
    around = [(b, n - 1 - b) for b, n in zip(before, taps, strict=True)]
    return lax.conv_general_dilated(
        x, kernel, (1, 1), around, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _forward(
    x: Array, kernel: Array, before: tuple[int, int] | None
) -> tuple[Array, tuple[Array, Array]]:
    return _same_size(x, kernel, before), (x, kernel)


def _backward(
    before: tuple[int, int] | None, stored: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    x, kernel = stored
    (of_x,) = jax.vjp(lambda x: _same_size(x, kernel, before), x)[1](gradient)
    of_kernel = kernel_gradient(x, gradient, kernel.shape[:2], before)
    return of_x, of_kernel.astype(kernel.dtype)


convolution_with_products.defvjp(_forward, _backward)


def kernel_gradient(
    x: Array, gradient: Array, taps: tuple[int, int], before: tuple[int, int] | None = None
) -> Array:
    """Gradient by the kernel as products of x with shifted gradients of the result.

    Large maps take a few rows at a time, so that the shifted copies stay in the cache. There each
    image has a sum of its own: a sum over a batch that is split over devices would be an all-reduce
    in every turn of the loop.

    Args:
        x: [B, H, W, C].
        gradient: [B, H, W, F].
        taps: height and width of the kernel.
        before: as for `convolution_with_products`.

    Returns:
        [height, width, C, F], float32 at least.
    """
    batch, height, width, channels = x.shape
    features = gradient.shape[-1]
    precise = jnp.promote_types(x.dtype, jnp.float32)
    before = before or (taps[0] // 2, taps[1] // 2)
    around = [(n - 1 - b, b) for b, n in zip(before, taps, strict=True)]
    padded = jnp.pad(gradient, [(0, 0), *around, (0, 0)])

    def shifted(rows: Array) -> Array:
        """[B, rows + h - 1, W + w - 1, F] -> [B, rows * W, h * w * F]."""
        count = rows.shape[1] - taps[0] + 1
        copies = [
            rows[:, taps[0] - 1 - i : taps[0] - 1 - i + count, taps[1] - 1 - j :][:, :, :width]
            for i in range(taps[0])
            for j in range(taps[1])
        ]
        return jnp.concatenate(copies, axis=-1).reshape(batch, count * width, -1)

    if height * width <= _FEW_PIXELS:
        total = lax.dot_general(
            x.reshape(-1, channels),
            shifted(padded).reshape(batch * height * width, -1),
            (((0,), (0,)), ((), ())),
            preferred_element_type=precise,
        )
    else:
        rows = math.gcd(height, _ROWS)

        def add(sums: Array, first: Array) -> tuple[Array, None]:
            taken = lax.dynamic_slice_in_dim(x, first, rows, axis=1)
            around = lax.dynamic_slice_in_dim(padded, first, rows + taps[0] - 1, axis=1)
            product = lax.dot_general(
                taken.reshape(batch, rows * width, channels),
                shifted(around),
                (((1,), (1,)), ((0,), (0,))),
                preferred_element_type=precise,
            )
            return sums + product, None

        sums = jnp.zeros((batch, channels, math.prod(taps) * features), precise)
        total = lax.scan(add, sums, jnp.arange(0, height, rows))[0].sum(axis=0)
    return total.reshape(channels, *taps, features).transpose(1, 2, 0, 3)


def _product(x: Array, kernel: Array) -> Array:
    """A 1x1 convolution as a matrix product."""
    return product(x, kernel[0, 0])


@jax.custom_vjp
def precise_product(x: Array, kernel: Array) -> Array:
    """`x @ kernel` of [..., C] and [C, F], summed and returned in float32 at least.

    The gradients are products of the operands' type as well; JAX's own would be of float32.
    """
    return jnp.matmul(x, kernel, preferred_element_type=jnp.promote_types(x.dtype, jnp.float32))


def _product_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return precise_product(x, kernel), (x, kernel)


def _product_backward(stored: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = stored
    gradient = gradient.astype(x.dtype)

    def direct(x: Array, gradient: Array) -> Array:
        summed = tuple(range(x.ndim - 1))
        precise = jnp.promote_types(x.dtype, jnp.float32)
        return lax.dot_general(
            x, gradient, ((summed, summed), ((), ())), preferred_element_type=precise
        )

    def by_rows(x: Array, gradient: Array) -> Array:
        return kernel_gradient(x, gradient, (1, 1))[0, 0]

    if x.ndim == 4:  # maps; a sum over so many pixels at once is slow on CPUs
        of_kernel = lax.platform_dependent(x, gradient, cpu=by_rows, default=direct)
    else:
        of_kernel = direct(x, gradient)
    return product(gradient, kernel.T), of_kernel.astype(kernel.dtype)


precise_product.defvjp(_product_forward, _product_backward)


_same_convolution = by_platform(xla_convolution, cpu=convolution_with_products)

_halving_of_few_channels = by_platform(
    functools.partial(xla_convolution, strides=2), cpu=_halving_by_depth
)

_halving_pointwise = by_platform(
    functools.partial(xla_convolution, strides=2), cpu=_product_of_halved
)

_pointwise = by_platform(xla_convolution, cpu=_product)
