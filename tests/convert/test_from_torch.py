"""PyTorch weights: golden agreement, and clear errors."""

import logging

import jax.numpy as jnp
import numpy as np
import pytest
from fixtures_s2anet import FILE, GROUPS
from golden import compare_s2anet

from s2a_jax.convert import from_torch
from s2a_jax.errors import UserError

KNOWN = {"num_heads": 4, "groups": GROUPS}


@pytest.fixture(scope="module")
def golden():
    with np.load(FILE, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture
def state(golden):
    return {k.removeprefix("state/"): v for k, v in golden.items() if k.startswith("state/")}


def test_everything_agrees_with_the_golden_arrays(golden):
    rows = list(compare_s2anet(golden, jnp.float32, GROUPS))
    kinds = {row.name.split("/")[0] for row in rows}
    assert kinds == {"eval", "train", "stats", "grad", "trajectory"}
    assert not [row for row in rows if not row.difference <= row.tolerance]


def test_hyper_parameters_are_read_off_the_shapes(state):
    module, _ = from_torch("s2anet", state, **KNOWN)
    assert (module.width, module.units, module.hidden) == (8, (1, 2, 1), 16)
    assert (module.lcem_layers, module.gcem_layers) == ((0,), (1, 2))
    assert module.decoder_channels == (8, 6, 4, 4)
    assert module.grid == (2, 2)


def test_unused_keys_are_left_out_and_told(state, caplog):
    state = {f"module.{name}": array for name, array in state.items()}
    state["module.Multioutput_3.decoder.conv_more.0.weight"] = np.zeros(1)
    state["module.decoder.blocks.0.conv1.1.num_batches_tracked"] = np.zeros(())
    with caplog.at_level(logging.WARNING):
        module, _ = from_torch("s2anet", state, **KNOWN)
    assert module.lcem_layers == (0,)
    assert "2 keys" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda s: s.pop("segmentation_head_2.0.bias"), r"segmentation_head_2\.0\.bias"),
        (lambda s: s.update(extra=np.zeros(1)), "extra"),
        (
            lambda s: s.update({"segmentation_head_2.0.weight": np.zeros((2, 4, 3, 3))}),
            r"segmentation_head_2\.0\.weight",
        ),
    ],
)
def test_wrong_keys_are_named(state, spoil, named):
    spoil(state)
    with pytest.raises(UserError, match=named):
        from_torch("s2anet", state, **KNOWN)


def test_what_shapes_cannot_tell_is_asked_for(state):
    with pytest.raises(UserError, match="num_heads"):
        from_torch("s2anet", state)
    with pytest.raises(UserError, match="resnet"):
        from_torch("resnet", state)
