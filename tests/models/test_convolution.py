"""Convolutions in every platform's form, against XLA's convolution and PyTorch's interpolation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax import lax

from s2a_jax.models import convolution, doubling
from s2a_jax.training.operations import count_operations
from tests.precision import enable_x64


def _random(*shapes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in shapes]


def _close(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10 * np.abs(other).max())


def _with_gradients(function, arrays, gradient):
    @jax.jit  # one program in place of one for each operation
    def compute(arrays, gradient):
        value, transpose = jax.vjp(function, *arrays)
        return value, transpose(gradient)

    return compute(arrays, gradient)


def _torch_doubled(x, skip, kernel, gradient):
    """Interpolation, joining, convolution and the gradients by PyTorch."""
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, skip, kernel)]
    maps, beside = (t.movedim(-1, 1) for t in tensors[:2])
    doubled = torch.nn.functional.interpolate(
        maps, scale_factor=2, mode="bilinear", align_corners=True
    )
    joined = torch.cat([doubled, beside], 1)
    weights = tensors[2].permute(3, 2, 0, 1)
    value = torch.nn.functional.conv2d(joined, weights, padding=1).movedim(1, -1)
    value.backward(torch.tensor(gradient))
    return value.detach().numpy(), tuple(t.grad.numpy() for t in tensors)


# The large map is summed a few rows at a time.
@pytest.mark.parametrize("height, width", [(5, 7), (52, 48)])
@pytest.mark.parametrize("taps", [(3, 3), (3, 1), (5, 3)])
def test_convolve_and_its_gradients_are_those_of_xla(height, width, taps):
    x, kernel, gradient = _random((2, height, width, 3), (*taps, 3, 4), (2, height, width, 4))
    padding = (taps[0] // 2, taps[1] // 2)
    with enable_x64(True):
        found = _with_gradients(
            lambda x, k: convolution.convolve(x, k, padding=padding), (x, kernel), gradient
        )
        expected = _with_gradients(
            lambda x, k: lax.conv_general_dilated(
                x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            ),
            (x, kernel),
            gradient,
        )
    _close(found, expected)


@pytest.mark.parametrize("taps", [(7, 7), (3, 3), (5, 3), (1, 1)])
@pytest.mark.parametrize("height, width", [(12, 8), (11, 9)])
def test_a_halving_convolution_and_its_gradients_are_those_of_xla(taps, height, width):
    halves = (-(-height // 2), -(-width // 2))
    x, kernel, gradient = _random((2, height, width, 3), (*taps, 3, 4), (2, *halves, 4))
    padding = (taps[0] // 2, taps[1] // 2)
    with enable_x64(True):
        found = _with_gradients(
            lambda x, k: convolution.convolve(x, k, strides=2, padding=padding),
            (x, kernel),
            gradient,
        )
        expected = _with_gradients(
            lambda x, k: lax.conv_general_dilated(
                x, k, (2, 2), [(p, p) for p in padding], dimension_numbers=("NHWC", "HWIO", "NHWC")
            ),
            (x, kernel),
            gradient,
        )
    _close(found, expected)


@pytest.mark.parametrize(
    "form, has_skip",
    [
        (doubling.convolve_doubled, False),
        (doubling.convolve_doubled_with_skip, True),
        (doubling._folded_with_matrices, False),
        (doubling._plain, False),
        (doubling._plain_with_skip, True),
    ],
)
def test_every_form_of_a_doubling_is_that_of_pytorch(form, has_skip):
    skips = 2 if has_skip else 0
    shapes = ((2, 5, 4, 3), (2, 10, 8, skips), (3, 3, 3 + skips, 4), (2, 10, 8, 4))
    x, skip, kernel, gradient = _random(*shapes)
    arrays = (x, skip, kernel) if has_skip else (x, kernel)
    with enable_x64(True):
        value, gradients = _with_gradients(form, arrays, gradient)
    expected, (of_x, of_skip, of_kernel) = _torch_doubled(x, skip, kernel, gradient)
    _close(
        (value, gradients),
        (expected, (of_x, of_skip, of_kernel) if has_skip else (of_x, of_kernel)),
    )


@pytest.mark.parametrize(
    "platform, convolutions, products",
    [("cpu", 0, 1), ("tpu", 0, 5), ("cuda", 1, 0)],
)
def test_each_platform_gets_its_form(platform, convolutions, products):
    x, kernel = jnp.zeros((1, 4, 4, 3)), jnp.zeros((3, 3, 3, 2))
    traced = jax.jit(doubling.convolve_doubled).trace(x, kernel)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") == convolutions
    assert text.count("stablehlo.dot_general") == products


def test_operations_of_loops_branches_and_gradients_are_counted():
    x, kernel = jnp.zeros((2, 64, 64, 8)), jnp.zeros((3, 3, 8, 4))
    one = 2 * 2 * 64 * 64 * 4 * 9 * 8  # a multiplication and an addition a tap and channel

    def loss(x, kernel):
        return jnp.sum(convolution.convolve(x, kernel, padding=(1, 1)) ** 2)

    assert count_operations(jax.jit(loss).trace(x, kernel)) == one
    # Forward, and a gradient for each operand; the kernel's is summed in a loop.
    assert count_operations(jax.jit(jax.grad(loss, (0, 1))).trace(x, kernel)) == 3 * one
    doubled = jax.jit(doubling.convolve_doubled).trace(x, kernel)
    assert count_operations(doubled) == one  # on a quarter of the pixels of the result
