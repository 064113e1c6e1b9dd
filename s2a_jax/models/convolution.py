"""Convolutions in the form that each platform computes fastest; the numbers are the same.

This is the one place where networks depend on the platform. The choice is made when a function is
lowered, so an exported network holds every form. `benchmarks/convolutions.py` measures them.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

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
    return lax.conv_general_dilated(
        x,
        kernel,
        (strides, strides),
        [(pad, pad) for pad in padding],
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


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


def product(x: Array, kernel: Array) -> Array:
    """Matrix product on the last axis.  [..., C], [C, F] -> [..., F].

    bfloat16 is summed in float32, and XLA is told so: otherwise it does not use the units that
    processors have for it.
    """
    return _precise_product(x, kernel).astype(x.dtype)


def upsample2x_align_corners(x: Array) -> Array:
    """Doubles H and W bilinearly with aligned corners.  [B, H, W, C] -> [B, 2H, 2W, C].

    Equals `torch.nn.functional.interpolate(scale_factor=2, mode="bilinear", align_corners=True)`.
    """
    return _double_axis(_double_axis(x, 1), 2)


_Form = Callable[..., Array]


def _by_platform(default: _Form, **others: _Form) -> _Form:
    """One function of arrays in the form for the platform: `default`, or that of its name.

    The form is chosen anew in the backward pass. Otherwise all forms would have to store the same
    arrays for it.
    """

    @jax.custom_vjp
    def function(*arrays: Array) -> Array:
        return lax.platform_dependent(*arrays, default=default, **others)

    def forward(*arrays: Array) -> tuple[Array, tuple[Array, ...]]:
        return function(*arrays), arrays

    def backward(arrays: tuple[Array, ...], gradient: Array) -> tuple[Array, ...]:
        def transposed(form: _Form) -> Callable[..., tuple[Array, ...]]:
            return lambda gradient, *arrays: jax.vjp(form, *arrays)[1](gradient)

        return lax.platform_dependent(
            gradient,
            *arrays,
            default=transposed(default),
            **{name: transposed(form) for name, form in others.items()},
        )

    function.defvjp(forward, backward)
    return function


def _xla_convolution(x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@jax.custom_vjp
def _convolution_with_products(x: Array, kernel: Array) -> Array:
    """XLA's convolution, whose kernel's gradient is computed by matrix products.

    XLA's own is three to five times slower on CPUs.
    """
    return _xla_convolution(x, kernel)


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _xla_convolution(x, kernel), (x, kernel)


def _backward(stored: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = stored
    (x_gradient,) = jax.vjp(lambda x: _xla_convolution(x, kernel), x)[1](gradient)
    return x_gradient, _kernel_gradient(x, gradient, kernel.shape[:2]).astype(kernel.dtype)


_convolution_with_products.defvjp(_forward, _backward)


def _kernel_gradient(x: Array, gradient: Array, taps: tuple[int, int]) -> Array:
    """Gradient by the kernel as products of x with shifted gradients of the result.

    Large maps take a few rows at a time, so that the shifted copies stay in the cache. There each
    image has a sum of its own: a sum over a batch that is split over devices would be an all-reduce
    in every turn of the loop.

    Args:
        x: [B, H, W, C].
        gradient: [B, H, W, F].
        taps: height and width of the kernel, odd.

    Returns:
        [height, width, C, F], float32 at least.
    """
    batch, height, width, channels = x.shape
    features = gradient.shape[-1]
    precise = jnp.promote_types(x.dtype, jnp.float32)
    around = [(0, 0), *((n // 2, n // 2) for n in taps), (0, 0)]
    padded = jnp.pad(gradient, around)

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


def _plain(x: Array, kernel: Array) -> Array:
    return _xla_convolution(upsample2x_align_corners(x), kernel)


def _plain_with_skip(x: Array, skip: Array, kernel: Array) -> Array:
    joined = jnp.concatenate([upsample2x_align_corners(x), skip], axis=-1)
    return _xla_convolution(joined, kernel)


def _folded_with_skip(x: Array, skip: Array, kernel: Array) -> Array:
    of_x, of_skip = jnp.split(kernel, [x.shape[-1]], axis=2)
    return _folded(x, of_x) + _convolution_with_products(skip, of_skip)


def _folded_with_matrices_and_skip(x: Array, skip: Array, kernel: Array) -> Array:
    of_x, of_skip = jnp.split(kernel, [x.shape[-1]], axis=2)
    return _folded_with_matrices(x, of_x) + _xla_convolution(skip, of_skip)


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
    """The fold with interpolation and shift as products with two small matrices."""
    taps = _tap_products(x, kernel).astype(x.dtype)
    rows, columns = (_shifted_doubling(n, x.dtype) for n in x.shape[1:3])
    half = jnp.einsum("bhwijf,jqw->bhqif", taps, columns)
    return jnp.einsum("bhqif,iph->bpqf", half, rows)


def _tap_products(x: Array, kernel: Array) -> Array:
    """Each pixel's product with each of the nine taps.  -> [B, H, W, 3, 3, F], float32 at least."""
    channels, features = kernel.shape[2:]
    wide = kernel.transpose(2, 0, 1, 3).reshape(channels, 9 * features)
    return _precise_product(x, wide).reshape(*x.shape[:3], 3, 3, features)


@jax.custom_vjp
def _precise_product(x: Array, kernel: Array) -> Array:
    """`x @ kernel` of [..., C] and [C, F], summed and returned in float32 at least.

    The gradients are products of the operands' type as well; JAX's own would be of float32.
    """
    return jnp.matmul(x, kernel, preferred_element_type=jnp.promote_types(x.dtype, jnp.float32))


def _product_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _precise_product(x, kernel), (x, kernel)


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
        return _kernel_gradient(x, gradient, (1, 1))[0, 0]

    if x.ndim == 4:  # maps; a sum over so many pixels at once is slow on CPUs
        of_kernel = lax.platform_dependent(x, gradient, cpu=by_rows, default=direct)
    else:
        of_kernel = direct(x, gradient)
    return product(gradient, kernel.T), of_kernel.astype(kernel.dtype)


_precise_product.defvjp(_product_forward, _product_backward)


def _shifted(x: Array, axis: int, step: int) -> Array:
    """Pixel p + step of `x` at p along one axis, 0 outside."""
    if step == 0:
        return x
    pads = [(0, 0, 0)] * x.ndim
    pads[axis] = (-step, step, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), pads)


def _shifted_doubling(n: int, dtype: Any) -> Array:
    """Matrices that double an axis of n pixels and shift it by -1, 0, 1.  [3, 2n, n]."""
    doubled = _double_axis(jnp.eye(n, dtype=jnp.promote_types(dtype, jnp.float32)), 0)
    return jnp.stack([_shifted(doubled, 0, step) for step in (-1, 0, 1)]).astype(dtype)


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


_same_convolution = _by_platform(_xla_convolution, cpu=_convolution_with_products)

_pointwise = _by_platform(_xla_convolution, cpu=_product)

# On a GPU the fold pays only without a skip, whose convolution would become a second one there.
_doubled = _by_platform(_plain, cpu=_folded, tpu=_folded_with_matrices, cuda=_folded_with_matrices)

_doubled_with_skip = _by_platform(
    _plain_with_skip, cpu=_folded_with_skip, tpu=_folded_with_matrices_and_skip
)
