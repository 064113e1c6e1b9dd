"""Layers with PyTorch's arithmetic and initial values, in NHWC.

Each class or function says where it differs from Flax's own: explicit paddings,
BatchNorm's unbiased running variance, bilinear interpolation with aligned corners, and the uniform
initial values of `torch.nn.Conv2d` and `torch.nn.Linear`.
"""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from s2a_jax.models.convolution import convolve, product
from s2a_jax.models.doubling import convolve_doubled, convolve_doubled_with_skip

KERNEL_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""Kernel init of `torch.nn.Conv2d` and `torch.nn.Linear`: uniform in ±1/sqrt(fan_in)."""


def uniform_init(fan_in: int) -> Callable[..., Array]:
    """Bias init of PyTorch's convolutions and linear layers: uniform in ±1/sqrt(fan_in)."""
    bound = 1 / math.sqrt(fan_in)

    def init(key: Array, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Conv(nn.Module):
    """Convolution with PyTorch's padding and initial values: [B, H, W, C] -> [B, H', W', F].

    Attributes:
        features: output channels F.
        kernel_size: (height, width) of the kernel in pixels, or its side.
        strides: step in pixels, the same in both directions.
        padding: (vertical, horizontal) zero pixels on each side, or one number for both;
            H' = (H + 2 * padding - dilation * (kernel_size - 1) - 1) // strides + 1.
        dilation: distance in pixels between the kernel's taps.
        use_bias: whether to add a bias.
        standardize: weight standardisation (Qiao et al., 2019): each output filter is scaled to
            zero mean and unit (biased) variance, eps 1e-5, before it is applied.
        kernel_init: initial kernel; PyTorch's default unless given.
        dtype: type of the computation; parameters stay, and are standardised, in float32.
    """

    features: int
    kernel_size: int | tuple[int, int]
    strides: int = 1
    padding: int | tuple[int, int] = 0
    dilation: int = 1
    use_bias: bool = True
    standardize: bool = False
    kernel_init: Callable[..., Array] = KERNEL_INIT
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        (height, width), in_features = _pair(self.kernel_size), x.shape[-1]
        kernel = self.param("kernel", self.kernel_init, (height, width, in_features, self.features))
        if self.standardize:
            mean = kernel.mean(axis=(0, 1, 2), keepdims=True)
            variance = kernel.var(axis=(0, 1, 2), keepdims=True)
            kernel = (kernel - mean) * lax.rsqrt(variance + 1e-5)
        x = convolve(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            strides=self.strides,
            padding=_pair(self.padding),
            dilation=_pair(self.dilation),
        )
        if self.use_bias:
            bias_init = uniform_init(height * width * in_features)
            bias = self.param("bias", bias_init, (self.features,)).astype(self.dtype)
            x = x + lax.broadcast_to_rank(bias, x.ndim)
        return x


class DoublingConv(nn.Module):
    """3x3 convolution, without bias, of the doubled map beside a skip.  -> [B, 2H, 2W, F].

    Takes x [B, H, W, C], which is doubled bilinearly with aligned corners, and the skip
    [B, 2H, 2W, S] or None. The kernel is that of a convolution of both joined along the channels.
    """

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, skip: Array | None) -> Array:
        in_features = x.shape[-1] + (0 if skip is None else skip.shape[-1])
        kernel = self.param("kernel", KERNEL_INIT, (3, 3, in_features, self.features))
        kernel, x = kernel.astype(self.dtype), x.astype(self.dtype)
        if skip is None:
            return convolve_doubled(x, kernel)
        return convolve_doubled_with_skip(x, skip.astype(self.dtype), kernel)


class ConvTranspose2x2(nn.Module):
    """`torch.nn.ConvTranspose2d(C, F, 2, stride=2)`.  [B, H, W, C] -> [B, 2H, 2W, F].

    Its taps do not overlap: output pixel (2i + a, 2j + b) is x[i, j] @ transposed_kernel[a, b].
    """

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        batch, height, width, in_features = x.shape
        # PyTorch takes the fan-in of a transposed kernel from its output channels.
        init = uniform_init(4 * self.features)
        kernel = self.param("transposed_kernel", init, (2, 2, in_features, self.features))
        bias = self.param("bias", init, (self.features,)).astype(self.dtype)
        x = jnp.einsum("bijc,klcf->bikjlf", x.astype(self.dtype), kernel.astype(self.dtype))
        x = x.reshape(batch, 2 * height, 2 * width, self.features)
        return x + lax.broadcast_to_rank(bias, x.ndim)


class Dense(nn.Module):
    """`torch.nn.Linear` on the last axis.  [..., C] -> [..., features].

    Attributes:
        features: output width.
        kernel_init: initial kernel; PyTorch's default unless given.
        bias_init: initial bias; PyTorch's default unless given.
        dtype: type of the computation; parameters stay float32.
    """

    features: int
    kernel_init: Callable[..., Array] = KERNEL_INIT
    bias_init: Callable[..., Array] | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        fan_in = x.shape[-1]
        kernel = self.param("kernel", self.kernel_init, (fan_in, self.features))
        bias_init = self.bias_init or uniform_init(fan_in)
        bias = self.param("bias", bias_init, (self.features,)).astype(self.dtype)
        x = product(x.astype(self.dtype), kernel.astype(self.dtype))
        return x + lax.broadcast_to_rank(bias, x.ndim)


class BatchNorm(nn.Module):
    """`torch.nn.BatchNorm2d`: eps 1e-5, running update 0.1, **unbiased** running variance.

    Flax's own keeps the biased variance. Statistics are computed in float32 over the global batch,
    so a batch that is sharded under `jax.jit` needs no axis name.

    Variables: params `scale`, `bias`; batch_stats `mean`, `var`; each [C].
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        features = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (features,))
        bias = self.param("bias", nn.initializers.zeros, (features,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (features,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (features,))
        if train:
            x32 = x.astype(jnp.promote_types(x.dtype, jnp.float32))
            mean = x32.mean(axis=(0, 1, 2))
            # The variance has no gradient by the mean: deviations sum to 0. Computing that 0 would
            # take another pass over x, and on several devices another all-reduce.
            deviation = x32 - lax.broadcast_to_rank(lax.stop_gradient(mean), x.ndim)
            var = (deviation**2).mean(axis=(0, 1, 2))
            if not self.is_initializing():
                count = x.size // features
                unbiased = var * (count / (count - 1))
                keep = self.momentum
                running_mean.value = keep * running_mean.value + (1 - keep) * mean
                running_var.value = keep * running_var.value + (1 - keep) * unbiased
        else:
            mean, var = running_mean.value, running_var.value
        factor = scale * lax.rsqrt(var + self.epsilon)
        # The statistics are folded first, so each pixel takes one fused multiply-add in both modes.
        x = x * lax.broadcast_to_rank(factor, x.ndim)
        return (x + lax.broadcast_to_rank(bias - mean * factor, x.ndim)).astype(self.dtype)


class ConvBNReLU(nn.Module):
    """3x3 convolution, batch norm, ReLU.  [B, H, W, C] -> [B, H, W, features]."""

    features: int
    use_bias: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        x = Conv(
            self.features, 3, padding=1, use_bias=self.use_bias, dtype=self.dtype, name="conv"
        )(x)
        x = BatchNorm(dtype=self.dtype, name="bn")(x, train=train)
        return nn.relu(x)


class DoubleConv(nn.Module):
    """3x3 convolution with bias, batch norm, ReLU, twice.  [B, H, W, C] -> [B, H, W, features]."""

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        x = ConvBNReLU(self.features, use_bias=True, dtype=self.dtype, name="conv1")(x, train=train)
        return ConvBNReLU(self.features, use_bias=True, dtype=self.dtype, name="conv2")(
            x, train=train
        )


def to_channels(x: Array, slabs: Sequence[str] = ()) -> Array:
    """Checks an image's shape; repeats a single grey slab as three colours.

    Args:
        x: [..., H, W, C]; C is 1 or 3 for one slab, else one channel a slab.
        slabs: names of several slabs; fewer than two names mean one slab.

    Returns:
        [..., H, W, 3] for one slab, `x` itself for several.

    Raises:
        ValueError: H or W is no multiple of 16, or C does not fit.
    """
    height, width, channels = x.shape[-3:]
    if height % 16 or width % 16:
        raise ValueError(f"height and width must be multiples of 16, got {height}x{width}")
    if len(slabs) > 1:
        if channels != len(slabs):
            raise ValueError(f"expected {len(slabs)} channels ({', '.join(slabs)}), got {channels}")
        return x
    if channels not in (1, 3):
        raise ValueError(f"expected 1 or 3 channels, got {channels}")
    return jnp.repeat(x, 3, axis=-1) if channels == 1 else x


def to_logits(rv: Array, faz: Array) -> dict[str, Array]:
    """Both tasks' logits, in float32 at least.  [B, H, W, 1] twice."""
    dtype = jnp.promote_types(rv.dtype, jnp.float32)
    return {"rv": rv.astype(dtype), "faz": faz.astype(dtype)}


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
