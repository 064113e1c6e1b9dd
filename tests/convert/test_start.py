"""A network that starts from a trained one with another grid, other slabs or other layers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from s2a_jax.convert.start import adapt_channels, start_values
from s2a_jax.convert.weights import Description
from s2a_jax.errors import UserError
from s2a_jax.models.build import build_network, network_fields
from s2a_jax.models.layers import Conv
from s2a_jax.models.resnet import group_norm

OWNER = "config.model.start_from=x"


def network(size, slabs=(), **changes):
    """Description of a tiny network, and shapes of its arrays."""
    config = {"name": "transunet", "variant": "tiny", "dtype": "float32"} | changes
    fields = network_fields(config, size, slabs)
    module = build_network(config["name"], fields)
    image = jax.ShapeDtypeStruct((1, 64, 64, len(slabs) or 1), jnp.float32)
    shapes = jax.eval_shape(functools.partial(module.init, train=False), jax.random.key(0), image)
    flat = {name: leaf.shape for name, leaf in flatten_dict(shapes, sep="/").items()}
    return Description(config["name"], fields), flat


@pytest.fixture(scope="module")
def trained():
    """A network of one slab at 64 px, with random numbers in every array."""
    described, shapes = network(64)
    rng = np.random.default_rng(0)
    flat = {
        name: rng.uniform(0.5, 1.5, shape) if name.endswith("var") else rng.normal(0, 0.2, shape)
        for name, shape in shapes.items()
    }
    flat = {name: array.astype(np.float32) for name, array in flat.items()}
    return described, unflatten_dict(flat, sep="/")


def test_another_grid_and_more_slabs_keep_the_response_to_equal_slabs(trained):
    theirs, variables = trained
    ours, shapes = network(96, ("a", "b"))
    start = start_values(theirs, variables, ours, shapes, OWNER)
    assert start.left == [] and start.values.keys() == shapes.keys()

    (root,) = start.adapted
    assert root == "params/encoder/resnet/root_conv/kernel"
    image = np.random.default_rng(1).uniform(size=(1, 16, 16, 1)).astype(np.float32)
    conv = Conv(8, 7, strides=2, padding=3, use_bias=False, standardize=True)
    norm = group_norm(4, 1e-6, jnp.float32, "norm")

    def response(kernel):
        slabs = np.repeat(image, kernel.shape[2], axis=-1)
        maps = conv.apply({"params": {"kernel": kernel}}, slabs)
        return norm.apply({"params": {"scale": np.ones(8), "bias": np.zeros(8)}}, maps)

    before = response(flatten_dict(variables, sep="/")[root])
    np.testing.assert_allclose(response(start.values[root]), before, atol=1e-4)

    (name,) = start.resized
    old = flatten_dict(variables, sep="/")[name].reshape(4, 4, 48)
    expected = jax.image.resize(old, (6, 6, 48), "bilinear").reshape(1, 36, 48)
    np.testing.assert_allclose(start.values[name], expected, atol=1e-6)


@pytest.mark.parametrize(("old", "new"), [(3, 2), (2, 5)])
def test_adapted_channels_keep_each_filters_sum_and_deviation(old, new):
    kernel = np.random.default_rng(0).normal(0.3, 1, (3, 3, old, 4))
    adapted = adapt_channels(kernel, new)
    assert adapted.shape == (3, 3, new, 4)
    np.testing.assert_allclose(adapted.sum(axis=2), kernel.sum(axis=2))
    np.testing.assert_allclose(adapted.std(axis=(0, 1, 2)), kernel.std(axis=(0, 1, 2)) * old / new)
    equal = np.repeat(kernel[:, :, :1], old, axis=2)  # no deviation to keep
    np.testing.assert_allclose(adapt_channels(equal, new) * new, np.repeat(
        equal[:, :, :1] * old, new, axis=2))  # fmt: skip


def test_what_another_depth_lacks_is_left(trained):
    theirs, variables = trained
    ours, shapes = network(64, num_blocks=4)  # tiny has fewer
    start = start_values(theirs, variables, ours, shapes, OWNER)
    new = {name for name in shapes if "/transformer/block_2/" in name}
    new |= {name for name in shapes if "/transformer/block_3/" in name}
    assert (
        len(new) == 2 * 16 and set(start.left) == new
    )  # 4 norm, 8 attention, 4 MLP arrays a block
    assert not start.resized and not start.adapted
    flat = flatten_dict(variables, sep="/")
    assert start.values.keys() == shapes.keys() - new
    assert all(np.array_equal(value, flat[name]) for name, value in start.values.items())


@pytest.mark.parametrize("changes", [{"num_heads": 2}, {"groups": 2}])
def test_fields_that_no_shape_shows_have_to_agree(trained, changes):
    theirs, variables = trained
    ours, shapes = network(64, **changes)
    assert {name: array.shape for name, array in flatten_dict(variables, sep="/").items()} == shapes
    ((field, value),) = changes.items()
    words = rf"{OWNER} has {field}=4, but config\.model\.{field}={value} here.*\.{field}=4\.$"
    with pytest.raises(UserError, match=words):
        start_values(theirs, variables, ours, shapes, OWNER)


def test_other_networks_and_sizes_are_refused(trained):
    theirs, variables = trained
    for changes, words in (
        ({"name": "unet"}, f"{OWNER} is the network transunet, but config.model.name=unet"),
        ({"variant": "small"}, rf"{OWNER}: only \d+ of the \d+ arrays.*--config.model.variant"),
    ):
        ours, shapes = network(64, **changes)
        with pytest.raises(UserError, match=words):
            start_values(theirs, variables, ours, shapes, OWNER)
