"""S2A-Net: shapes, precision, and its parts on other features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax.models.context import GCEM, LCEM
from s2a_jax.models.doubling import upsample2x_align_corners
from s2a_jax.models.layers import BatchNorm
from s2a_jax.models.s2anet import S2ANet
from tests.networks import drawn_variables

TINY = S2ANet.variants["tiny"] | {"grid": (2, 2)}


@pytest.fixture(scope="module")
def variables():
    return drawn_variables(S2ANet(**TINY), (1, 32, 32, 1))


def test_blocks_that_are_not_decoded_are_not_built(variables):
    blocks = {k for k in variables["params"]["encoder"]["transformer"] if k.startswith("block_")}
    assert blocks == {"block_0", "block_1"}


def test_any_multiple_of_16_and_nothing_else(variables):
    module = S2ANet(**TINY)
    logits = jax.jit(lambda x: module.apply(variables, x, train=False))(jnp.ones((2, 48, 80, 1)))
    assert {task: z.shape for task, z in logits.items()} == {
        "rv": (2, 48, 80, 1),
        "faz": (2, 48, 80, 1),
    }
    with pytest.raises(ValueError, match="multiples of 16"):
        module.apply(variables, jnp.ones((1, 40, 48, 1)), train=False)


def test_bfloat16_computes_close_to_float32_with_float32_logits(variables):
    x = jax.random.uniform(jax.random.key(1), (1, 32, 32, 1))

    def logits(dtype):
        module = S2ANet(**TINY, dtype=dtype)
        return jax.jit(lambda x: module.apply(variables, x, train=False))(x)

    exact, rough = logits(jnp.float32), logits(jnp.bfloat16)
    assert rough["rv"].dtype == jnp.float32
    np.testing.assert_allclose(rough["rv"], exact["rv"], atol=0.1)


def test_context_modules_take_any_encoders_features():
    features = {
        "blocks": (jnp.ones((1, 2, 3, 5)),) * 3,
        "skips": (jnp.ones((1, 4, 6, 4)), jnp.ones((1, 8, 12, 3))),
    }
    for module in (LCEM((0,), 4, (4, 4, 4, 2)), GCEM((1, 2), 4, (4, 4, 4, 2))):
        logits, _ = jax.eval_shape(
            lambda key, m=module: m.init_with_output(key, features, train=False), jax.random.key(0)
        )
        assert logits.shape == (1, 32, 48, 1)


def test_upsampling_aligns_corners():
    x = np.random.default_rng(0).normal(size=(1, 3, 5, 2)).astype(np.float32)

    def double(row):
        n = len(row)
        return np.interp(np.arange(2 * n) * (n - 1) / (2 * n - 1), np.arange(n), row)

    expected = np.apply_along_axis(double, 2, np.apply_along_axis(double, 1, x))
    np.testing.assert_allclose(upsample2x_align_corners(jnp.asarray(x)), expected, atol=1e-6)


def test_running_variance_is_unbiased():
    x = jax.random.normal(jax.random.key(0), (2, 3, 3, 4))
    layer = BatchNorm()
    start = layer.init(jax.random.key(0), x, train=False)
    _, updated = layer.apply(start, x, train=True, mutable=["batch_stats"])
    expected = 0.9 + 0.1 * np.var(np.asarray(x), axis=(0, 1, 2), ddof=1)
    np.testing.assert_allclose(updated["batch_stats"]["var"], expected, rtol=1e-5)


def test_batch_norm_is_exact_at_large_means_and_in_its_gradient():
    rng = np.random.default_rng(0)
    layer, cotangent = BatchNorm(), rng.normal(size=(4, 8, 8, 3))

    def output(x):
        start = layer.init(jax.random.key(0), x, train=False)
        return layer.apply(start, x, train=True, mutable=["batch_stats"])

    x = jnp.asarray(rng.normal(1000.0, 1.0, cotangent.shape), jnp.float32)
    _, updated = output(x)
    expected = 0.9 + 0.1 * np.var(np.asarray(x, np.float64), axis=(0, 1, 2), ddof=1)
    np.testing.assert_allclose(updated["batch_stats"]["var"], expected, rtol=5e-7)

    x = jnp.asarray(rng.normal(3.0, 2.0, cotangent.shape), jnp.float32)
    ours = jax.grad(lambda x: jnp.sum(output(x)[0] * cotangent))(x)
    exact = np.asarray(x, np.float64)
    mean, deviation = exact.mean((0, 1, 2)), np.sqrt(exact.var((0, 1, 2)) + 1e-5)
    normed = (exact - mean) / deviation
    along_normed = normed * (cotangent * normed).mean((0, 1, 2))
    expected = (cotangent - cotangent.mean((0, 1, 2)) - along_normed) / deviation
    np.testing.assert_allclose(ours, expected, atol=2e-6)
