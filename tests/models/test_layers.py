"""Initial values of PyTorch's layers, dropout's places, and what the small networks are made of."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax.models.layers import (
    BatchNorm,
    Conv,
    ConvTranspose2x2,
    Dense,
    DoublingConv,
    to_channels,
)
from s2a_jax.models.vit import Block, Transformer, resize_positions


@pytest.mark.parametrize(
    ("layer", "shape", "fan_in"),
    [
        (Conv(64, 3), (1, 4, 4, 16), 9 * 16),
        (Conv(64, (1, 3)), (1, 4, 4, 16), 3 * 16),
        (Dense(64), (1, 144), 144),
        (ConvTranspose2x2(36), (1, 4, 4, 16), 4 * 36),  # of the output channels
    ],
)
def test_initial_values_are_uniform_as_in_pytorch(layer, shape, fan_in):
    params = layer.init(jax.random.key(0), jnp.zeros(shape))["params"]
    bound = fan_in**-0.5
    for name, values in params.items():
        values = np.asarray(values)
        assert 0.8 * bound < np.abs(values).max() <= bound, name
        assert abs(values.mean()) < 0.4 * bound
    (kernel,) = (np.asarray(of) for name, of in params.items() if name.endswith("kernel"))
    np.testing.assert_allclose(kernel.std(), bound / np.sqrt(3), rtol=0.03)


def test_initial_values_of_a_doubling_and_of_batch_norm():
    layer, x = DoublingConv(32), jnp.zeros((1, 2, 2, 8))
    kernel = layer.init(jax.random.key(0), x, jnp.zeros((1, 4, 4, 8)))["params"]["kernel"]
    assert kernel.shape == (3, 3, 16, 32) and 0.08 < jnp.abs(kernel).max() <= 1 / 12
    variables = BatchNorm().init(jax.random.key(0), x, train=True)
    expected = {
        "params": {"scale": np.ones(8), "bias": np.zeros(8)},
        "batch_stats": {"mean": np.zeros(8), "var": np.ones(8)},
    }
    jax.tree.map(np.testing.assert_array_equal, variables, expected)


def test_initial_values_of_the_transformer():
    module = Transformer(
        hidden=64, num_blocks=1, num_heads=4, mlp_width=128, dropout_rate=0.1, grid=(2, 3)
    )
    init = jax.jit(lambda key: module.init(key, jnp.zeros((1, 2, 3, 8)), train=False))
    params = init(jax.random.key(0))["params"]
    assert params["position_embedding"].shape == (1, 6, 64)
    assert not params["position_embedding"].any()
    block = params["block_0"]
    for name, (width, out) in {"fc1": (64, 128), "fc2": (128, 64)}.items():
        bound = np.sqrt(6 / (width + out))  # Xavier's
        assert 0.98 * bound < jnp.abs(block[name]["kernel"]).max() <= bound
        assert 0 < jnp.abs(block[name]["bias"]).max() < 1e-5
    query = block["attention"]["query"]["kernel"]
    assert 0.98 / 8 < jnp.abs(query).max() <= 1 / 8


def test_dropout_follows_the_positions_the_gelu_and_the_mlp():
    module = Transformer(
        hidden=8, num_blocks=1, num_heads=2, mlp_width=12, dropout_rate=0.25, grid=(2, 2)
    )
    x = jax.random.normal(jax.random.key(0), (1, 2, 2, 3))
    variables = jax.jit(lambda: module.init(jax.random.key(1), x, train=False))()

    @functools.partial(jax.jit, static_argnums=0)
    def outputs(train):
        """What goes into the GELU's dropout, and what comes out of each."""
        results = []

        def record(call, args, kwargs, context):
            result = call(*args, **kwargs)
            if isinstance(context.module, nn.Dropout):
                layer = context.module
                called.append((args[0].shape[-1], layer.rate, layer.deterministic))
                results.append((args[0], result))
            return result

        with nn.intercept_methods(record):
            module.apply(variables, x, train=train, rngs={"dropout": jax.random.key(2)})
        return results[1][0], [result for _, result in results]

    for train in (True, False):
        called = []
        gelu, results = outputs(train)
        assert called == [(width, 0.25, not train) for width in (8, 12, 8)]
        assert gelu.min() > -0.18 and gelu.max() > 0.05  # the GELU's least value is -0.17
        assert all(bool((result != 0).all()) != train for result in results)


def test_a_block_is_attention_and_mlp_each_after_a_norm():
    """In NumPy, with two heads."""
    rng = np.random.default_rng(0)
    module, x = Block(2, 6, 0.0), rng.normal(size=(1, 3, 4)).astype(np.float32)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, train=False))
    variables = jax.tree.map(lambda of: rng.normal(size=of.shape).astype(np.float32), shapes)
    p = variables["params"]

    def norm(x, of):
        deviation = np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return (x - x.mean(-1, keepdims=True)) / deviation * of["scale"] + of["bias"]

    def dense(x, of):
        return x @ of["kernel"] + of["bias"]

    y = norm(x[0], p["attention_norm"])
    query, key, value = (dense(y, p["attention"][name]) for name in ("query", "key", "value"))
    heads = []
    for columns in (slice(0, 2), slice(2, 4)):
        scores = query[:, columns] @ key[:, columns].T / np.sqrt(2)
        weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        heads.append(weights @ value[:, columns])
    z = x[0] + dense(np.concatenate(heads, -1), p["attention"]["out"])
    inner = dense(norm(z, p["mlp_norm"]), p["fc1"])
    erf = np.vectorize(math.erf)
    expected = z + dense(0.5 * inner * (1 + erf(inner / np.sqrt(2))), p["fc2"])
    found = jax.jit(lambda x: module.apply(variables, x, train=False))(x)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_positions_are_resized_along_rows_and_columns():
    grid = np.arange(6.0).reshape(1, 6, 1)  # two rows of three: 3 * row + column
    found = np.asarray(resize_positions(jnp.asarray(grid), (2, 3), (4, 3))).reshape(4, 3)
    rows = np.array([0, 0.25, 0.75, 1])  # half-pixel centres, clamped at the ends
    np.testing.assert_allclose(found, 3 * rows[:, None] + np.arange(3), atol=1e-6)
    found = np.asarray(resize_positions(jnp.asarray(grid), (2, 3), (2, 6))).reshape(2, 6)
    columns = np.array([0, 0.25, 0.75, 1.25, 1.75, 2])
    np.testing.assert_allclose(found, 3 * np.arange(2)[:, None] + columns, atol=1e-6)
    assert resize_positions(grid, (2, 3), (2, 3)) is grid


def test_a_grey_image_is_repeated_and_slabs_are_not():
    grey = jnp.arange(256.0).reshape(16, 16, 1)
    np.testing.assert_array_equal(to_channels(grey), np.repeat(grey, 3, axis=-1))
    colours = jnp.zeros((16, 32, 3))
    assert to_channels(colours) is colours
    two = jnp.zeros((16, 16, 2))
    assert to_channels(two, ("a", "b")) is two
    with pytest.raises(ValueError, match="expected 1 or 3 channels, got 2"):
        to_channels(two)
    with pytest.raises(ValueError, match="multiples of 16, got 24x16"):
        to_channels(jnp.zeros((24, 16, 1)))
