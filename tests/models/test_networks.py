"""All five networks: sizes, shapes, fields, and the specialities of each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2a_jax.errors import UserError
from s2a_jax.models.build import build_network, network_fields
from s2a_jax.models.vaffnet import VAFFNet
from tests.networks import drawn_variables

MILLIONS = {
    "s2anet": 99.812,
    "unet": 31.044,
    "transunet": 105.403,
    "jointseg": 9.424,
    "vaffnet": 28.651,
}


def shapes_of(module, size, channels=1):
    image = jax.ShapeDtypeStruct((1, size, size, channels), jnp.float32)
    return jax.eval_shape(
        lambda x: module.init_with_output(jax.random.key(0), x, train=False), image
    )


PUBLISHED = {
    "s2anet": {
        "width": 64, "units": (3, 4, 9), "groups": 32, "hidden": 768, "num_heads": 12,
        "mlp_width": 3072, "dropout_rate": 0.1, "first_channels": 512,
        "decoder_channels": (256, 128, 64, 16), "lcem_layers": (0,),
        "gcem_layers": (1, 2, 3, 4, 5), "grid": (19, 19),
    },
    "transunet": {
        "width": 64, "units": (3, 4, 9), "groups": 32, "hidden": 768, "num_blocks": 12,
        "num_heads": 12, "mlp_width": 3072, "dropout_rate": 0.1, "first_channels": 512,
        "decoder_channels": (256, 128, 64, 16), "heads": "own",
    },
    "unet": {"widths": (64, 128, 256, 512, 1024), "heads": "own"},
    "jointseg": {"widths": (32, 64, 128, 256, 512)},
    "vaffnet": {
        "width": 64, "units": (3, 4, 6, 3), "pyramid_features": 256,
        "gate_features": (256, 256, 64), "head_features": 256, "junctions": False,
        "map_features": 64, "grid_features": 128,
    },
}  # fmt: skip
"""Fields that do not show in the number of parameters would change the network unseen."""


@pytest.mark.parametrize("network", PUBLISHED)
def test_published_fields(network):
    fields = network_fields({"name": network, "variant": "base"}, 304)
    assert {name: fields[name] for name in PUBLISHED[network]} == PUBLISHED[network]
    assert fields["dtype"] == "float32" and fields["slabs"] == ()


@pytest.mark.parametrize("network", MILLIONS)
@pytest.mark.parametrize("variant", ["base", "small", "tiny"])
def test_every_variant_gives_both_tasks_logits(network, variant):
    size = 304 if variant == "base" else 64
    fields = network_fields({"name": network, "variant": variant, "dtype": "bfloat16"}, size)
    module = build_network(network, fields)
    for channels in (1, 3) if variant == "tiny" else (1,):
        logits, variables = shapes_of(module, size, channels)
        assert {task: z.shape for task, z in logits.items()} == dict.fromkeys(
            ("rv", "faz"), (1, size, size, 1)
        )
        assert {z.dtype for z in logits.values()} == {jnp.dtype("float32")}
    if variant == "base":
        count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        assert round(count / 1e6, 3) == MILLIONS[network]
    if variant == "tiny":
        with pytest.raises(ValueError, match="multiples of 16"):
            shapes_of(module, 40)


@pytest.mark.parametrize("network", ["unet", "transunet"])
def test_context_heads_through_the_configuration(network):
    config = {"name": network, "variant": "tiny", "dtype": "float32", "heads": "context"}
    logits, variables = shapes_of(build_network(network, network_fields(config, 32)), 32)
    assert logits["faz"].shape == (1, 32, 32, 1)
    assert set(variables["params"]) == {"encoder", "heads"}
    assert set(variables["params"]["heads"]) == {"lcem", "gcem"}


def test_fields_of_other_networks_are_refused():
    config = {"name": "unet", "variant": "tiny", "dtype": "float32", "hidden": 96}
    with pytest.raises(UserError, match=r"config\.model\.hidden: unet has no such field"):
        network_fields(config, 32)
    config = {"name": "transunet", "variant": "tiny", "dtype": "float32", "heads": "context"}
    with pytest.raises(UserError, match=r"gcem_layers=\(5,\)"):
        network_fields(config | {"gcem_layers": (5,)}, 32)


@pytest.mark.parametrize(
    ("network", "field", "value"),
    [
        ("s2anet", "decoder_channels", (8, 8, 8)),  # logits of half the image's size otherwise
        ("s2anet", "gcem_layers", (2, 1)),
        ("s2anet", "dropout_rate", 1.5),
        ("transunet", "num_blocks", 0),
        ("unet", "widths", (0, 8, 16, 32, 64)),
        ("vaffnet", "units", (1, 1, 1)),
        ("vaffnet", "junctions", 3),
    ],
)
def test_values_that_cannot_be_used_are_refused(network, field, value):
    with pytest.raises(UserError, match=rf"config\.model\.{field}="):
        network_fields({"name": network, "variant": "tiny", field: value}, 64)


def test_a_single_slab_is_fed_three_times():
    module = VAFFNet(**VAFFNet.variants["tiny"], junctions=True)
    slab = jax.random.uniform(jax.random.key(0), (1, 32, 32, 1))
    variables = drawn_variables(module, slab.shape)
    apply = jax.jit(lambda x: module.apply(variables, x, train=False))
    named = module.clone(slabs=("whole", "deep", "superficial"))
    apply_named = jax.jit(lambda x: named.apply(variables, x, train=False))
    one, three = apply(slab), apply_named(jnp.repeat(slab, 3, axis=-1))
    assert one["junction_grid"].shape == (1, 4, 4, 6)
    for name, logits in one.items():
        np.testing.assert_allclose(logits, three[name], atol=1e-5)
    # Each slab has an input of its own: no exchange of two leaves the output as it is.
    slabs = jnp.concatenate([slab, 1 - slab, slab**2], axis=-1)
    rv = apply_named(slabs)["rv"]
    for order in ((1, 0, 2), (0, 2, 1), (2, 1, 0)):
        assert not np.allclose(apply_named(slabs[..., order])["rv"], rv, atol=1e-5)
    stacked = jax.ShapeDtypeStruct((1, 32, 32, 3, 3), jnp.float32)
    shapes = jax.eval_shape(lambda x: module.apply(variables, x, train=False), stacked)
    assert shapes["rv"].shape == rv.shape


@pytest.mark.parametrize("network", MILLIONS)
def test_several_slabs_are_channels(network):
    config = {"name": network, "variant": "tiny", "dtype": "float32"}
    one = network_fields(config, 32)
    assert one["slabs"] == ()
    three = build_network(network, network_fields(config, 32, ("a", "b", "c")))
    _, variables = shapes_of(build_network(network, one), 32)
    assert shapes_of(three, 32, 3)[1] == variables  # weights of grey or RGB images fit
    with pytest.raises(ValueError, match=r"expected 3 channels \(a, b, c\), got 1"):
        shapes_of(three, 32)
    if network == "vaffnet":
        with pytest.raises(UserError, match=r"slab=a,b: vaffnet expects one slab, or three"):
            network_fields(config, 32, ("a", "b"))
    else:
        two = build_network(network, network_fields(config, 32, ("a", "b")))
        logits, _ = shapes_of(two, 32, 2)
        assert logits["faz"].shape == (1, 32, 32, 1)
