"""PyTorch weights: fields read off the shapes, and clear errors."""

import logging

import jax
import numpy as np
import pytest
from references import KNOWN, reference, state_of

from s2a_jax.convert import from_torch, to_torch
from s2a_jax.errors import UserError
from s2a_jax.models.unet import UNet

UNUSED = {
    "s2anet": ["Multioutput_3.decoder.conv_more.0.weight", "Multioutput_0_faz.decoder.x",
               "decoder.blocks.0.conv1.1.bias", "segmentation_head.0.weight",
               "transformer.encoder.layer.6.ffn.fc1.bias"],
    "jointseg": ["faz_fsm5.conv.weight"],
    "vaffnet": ["cat_conv.weight"],
    "unet": ["Conv1.conv.1.num_batches_tracked"],
}  # fmt: skip


@pytest.fixture
def state():
    return state_of(reference("s2anet"))


def test_slabs_are_given_because_shapes_do_not_name_them():
    module = UNet(widths=(2, 2, 2, 2, 2), slabs=("deep", "superficial"))
    image = jax.ShapeDtypeStruct((1, 16, 16, 2), np.float32)
    shapes = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), image)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.uniform(size=leaf.shape), shapes)
    state = to_torch("unet", variables)
    again, back = from_torch("unet", state, slabs=module.slabs)
    assert again == module
    jax.tree.map(np.testing.assert_array_equal, back, variables)
    with pytest.raises(UserError, match=r"shape \(2, 2, 3, 3\), expected \(2, 3, 3, 3\)"):
        from_torch("unet", state)
    with pytest.raises(UserError, match="slabs='deep': expected none, or two or more"):
        from_torch("unet", state, slabs="deep")


def test_hyper_parameters_are_read_off_the_shapes(state):
    module, _ = from_torch("s2anet", state, **KNOWN["s2anet"])
    assert (module.width, module.units, module.hidden) == (8, (1, 2, 1), 16)
    assert (module.lcem_layers, module.gcem_layers) == ((0,), (1, 2))
    assert module.decoder_channels == (8, 6, 4, 4)
    assert module.grid == (2, 2)


@pytest.mark.parametrize("network", UNUSED)
def test_unused_keys_are_left_out_and_logged(network, caplog):
    state = {f"module.{name}": array for name, array in state_of(reference(network)).items()}
    state |= {f"module.{name}": np.zeros(1) for name in UNUSED[network]}
    with caplog.at_level(logging.WARNING):
        _, variables = from_torch(network, state, **KNOWN[network])
    assert f"keys that {network} does not use ({len(UNUSED[network])}):" in caplog.text
    assert not set(UNUSED[network]) & to_torch(network, variables).keys()


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda s: s.pop("segmentation_head_2.0.bias"), r"segmentation_head_2\.0\.bias.*\(1,\)"),
        (lambda s: s.update(extra=np.zeros(1)), "extra"),
        (
            lambda s: s.update({"segmentation_head_2.0.weight": np.zeros((2, 4, 3, 3))}),
            r"segmentation_head_2\.0\.weight.*\(2, 4, 3, 3\).*\(1, 4, 3, 3\)",
        ),
        (lambda s: s.clear(), "no weights of s2anet"),
    ],
)
def test_wrong_keys_are_named_with_both_shapes(state, spoil, named):
    spoil(state)
    with pytest.raises(UserError, match=named):
        from_torch("s2anet", state, **KNOWN["s2anet"])


def test_copies_of_a_shared_layer_must_agree():
    state = state_of(reference("vaffnet"))
    state["firstbn_2.weight"] = state["firstbn_2.weight"] + 1
    with pytest.raises(UserError, match=r"firstbn_1\.weight"):
        from_torch("vaffnet", state)


def test_fields_that_shapes_do_not_determine_are_required(state):
    with pytest.raises(UserError, match="num_heads"):
        from_torch("s2anet", state)
    with pytest.raises(UserError, match="no field 'heads_number'"):
        from_torch("s2anet", state, heads_number=3)
    with pytest.raises(UserError, match="resnet"):
        from_torch("resnet", state)
    with pytest.raises(UserError, match="num_heads='two': expected a whole number"):
        from_torch("s2anet", state, **KNOWN["s2anet"] | {"num_heads": "two"})


def test_only_the_released_blocks_have_names_in_torch(state):
    _, variables = from_torch("s2anet", state, **KNOWN["s2anet"])
    gcem = variables["params"]["heads"]["gcem"]
    gcem["decoder_6"] = gcem.pop("decoder_2")
    with pytest.raises(UserError, match=r"gcem_layers=\(1, 6\)"):
        to_torch("s2anet", variables)


def test_context_heads_on_other_networks_have_no_names_in_torch():
    with pytest.raises(UserError, match="heads=context"):
        to_torch("unet", {"params": {"heads": {}}})
