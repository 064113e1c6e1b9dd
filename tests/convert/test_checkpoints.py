"""The weights in a checkpoint: prefixes, containers, averages, other networks."""

import functools
import itertools
import logging

import numpy as np
import pytest
import torch
from references import KNOWN, reference, state_of
from refusals import assert_refused
from unets import convert, prefixed, same, saved, unet_state

from parity.networks import NETWORKS
from s2a_jax.convert import from_torch
from s2a_jax.convert.files import read_checkpoint
from s2a_jax.convert.selection import find_weights
from s2a_jax.convert.torch_weights import state_dict_of
from s2a_jax.convert.weights import read_weights
from s2a_jax.errors import UserError


@pytest.fixture
def state():
    return unet_state()


@pytest.fixture
def other():
    return unet_state(seed=1)


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "model.", "net.", "module._orig_mod.model.", "my_own_wrapper."],
)
def test_prefixes_are_stripped_and_said(state, caplog, prefix):
    assert same(state_dict_of("unet", prefixed(prefix, state)), state)
    assert (f"Stripped {prefix!r}" in caplog.text) == bool(prefix)


def test_only_prefixes_before_the_networks_own_names_are_stripped():
    # All keys share a first component, but it is one of the network's own.
    state = state_of(reference("transunet"))
    part = {name: array for name, array in state.items() if name.startswith("transformer.")}
    assert state_dict_of("transunet", part).keys() == part.keys()
    with pytest.raises(UserError, match=r"no key 'segmentation_head\.0\.weight'"):
        from_torch("transunet", part, **KNOWN["transunet"])


CONTAINERS = ("net", "params", "weights", "model_state", "model_state_dict", "state_dict")


def _under(key, state):
    return {"epoch": 3, key: state}


@pytest.mark.parametrize(
    "wrap",
    [
        *(functools.partial(_under, key) for key in CONTAINERS),
        lambda state: {"generator": state, "discriminator": {"conv.weight": torch.ones(2, 2)}},
        lambda state: {"a": [0, {"b": {"state": state}}]},
        lambda state: {"model": state, "state_dict": state},  # one dict under two names
        lambda state: {
            "state_dict": prefixed("model.", state) | {"criterion.pos_weight": torch.ones(1)},
            "hyper_parameters": {"lr": 0.01},
            "callbacks": {"ModelCheckpoint": {"best_k_models": {"a.ckpt": torch.tensor(0.5)}}},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(4, 3, 3, 3)}}}],
        },
    ],
)
@pytest.mark.parametrize("name", ["x.ckpt", "x.pth.tar", "x.bin"])
def test_the_state_dict_is_found_in_any_container(tmp_path, state, wrap, name):
    content = read_checkpoint(saved(tmp_path / name, wrap(state)))
    assert same(state_dict_of("unet", content), state)


def test_keys_outside_the_network_are_said(state, caplog):
    beside = prefixed("model.", state) | {"loss.weight": torch.ones(3)}
    assert same(state_dict_of("unet", beside), state)
    assert "Left out keys outside the network (1), first loss.weight" in caplog.text


@pytest.mark.parametrize(
    ("average", "wrap"),
    [
        ("model_ema", lambda a, b: {"model": a, "model_ema": b}),
        ("state_dict_ema", lambda a, b: {"state_dict": a, "state_dict_ema": b}),
        ("params_ema", lambda a, b: {"params": a, "params_ema": b}),
        ("ema", lambda a, b: {"ema": {"decay": 0.9, "shadow": b}, "net": prefixed("module.", a)}),
        ("ema_model", lambda a, b: prefixed("model.", a) | prefixed("ema_model.", b)),
        ("swa", lambda a, b: {"model": a, "swa": b | {"n_averaged": torch.tensor(3)}}),
        ("best", lambda a, b: {"last": a, "best": prefixed("module.", b) | {"n_averaged":
                                                                           torch.tensor(3)}}),
    ],
)  # fmt: skip
def test_plain_weights_are_taken_unless_which_says_otherwise(
    tmp_path, state, other, caplog, average, wrap
):
    if average == "swa":
        other = prefixed("module.", other)
    content = read_checkpoint(saved(tmp_path / "x.pth", wrap(state, other)))
    assert same(state_dict_of("unet", content), state)
    assert average in caplog.text
    stripped = {name.removeprefix("module."): tensor for name, tensor in other.items()}
    assert same(state_dict_of("unet", content, which=average), stripped)
    with pytest.raises(UserError, match=rf"'third'.*{average}"):
        state_dict_of("unet", content, which="third")


def test_of_several_plain_ones_none_is_taken(tmp_path, capsys, state, other):
    path = saved(tmp_path / "x.pth", {"student": state, "teacher": other})
    code = convert(path, tmp_path / "y.safetensors")
    assert_refused(code, capsys.readouterr().err, "2 sets of weights: student, teacher")
    assert convert(path, tmp_path / "y.safetensors", "--which", "teacher") == 0
    _, found = read_weights(tmp_path / "y.safetensors")
    np.testing.assert_array_equal(found["params"]["head"]["bias"], other["Conv_1x1.bias"].numpy())


def test_a_network_of_one_task_is_called_that():
    state = state_of(NETWORKS["unet"](widths=(4, 4, 4, 4, 4)))
    for name in ("weight", "bias"):
        state[f"Conv_1x1.{name}"] = state[f"Conv_1x1.{name}"][:1]
    with pytest.raises(UserError, match=r"'Conv_1x1.weight' has 1 output channel: .* one task"):
        from_torch("unet", state)


@pytest.mark.parametrize(("network", "other"), [*itertools.permutations(sorted(KNOWN), 2)])
def test_weights_of_another_network_are_called_that(network, other):
    with pytest.raises(UserError, match=f"weights of {other}, not of {network}.*{other}"):
        from_torch(network, prefixed("module.", state_of(reference(other))))


def test_weights_of_no_network_here_show_their_keys():
    with pytest.raises(UserError, match=r"'Conv1.conv.0.weight'.*first keys are inc.weight"):
        from_torch("unet", {"inc.weight": np.zeros(1)})
    with pytest.raises(UserError, match="there are no tensors"):
        from_torch("unet", {"epoch": 3})


def test_a_plain_state_dict_is_taken_without_a_word(state, caplog):
    with caplog.at_level(logging.WARNING):
        from_torch("unet", state)
    assert not caplog.text


def test_averaged_weights_beside_plain_ones_at_the_top_level_are_apart():
    arrays = {name: np.zeros(1) for name in ("mark", "bias", "ema.mark", "ema.bias", "other")}
    found = {weights.prefix: weights for weights in find_weights(arrays, "mark")}
    assert set(found[""].arrays) == {"mark", "bias", "other"} and not found[""].averaged
    assert set(found["ema."].arrays) == {"mark", "bias"} and found["ema."].averaged
