"""PyTorch weights as people save them: prefixes, containers, averages, objects beside them."""

import argparse
import datetime
import functools
import itertools
import logging
import os
import pathlib
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from references import KNOWN, reference, state_of
from refusals import assert_refused

from parity.networks import NETWORKS
from s2a_jax.cli import run as main
from s2a_jax.convert import from_torch
from s2a_jax.convert.arrays import to_numpy
from s2a_jax.convert.files import read_checkpoint, write_state_dict
from s2a_jax.convert.torch_weights import state_dict_of
from s2a_jax.convert.weights import read_weights
from s2a_jax.errors import UserError


class Settings(dict):
    """A class that a user's training script could define."""


@pytest.fixture
def state():
    """A U-Net's state dict in float32."""
    return {name: torch.tensor(a).float() for name, a in state_of(reference("unet")).items()}


@pytest.fixture
def other():
    """Another U-Net's."""
    return {
        name: torch.tensor(a).float() for name, a in state_of(reference("unet", seed=1)).items()
    }


def prefixed(prefix, state):
    return OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def same(found, expected):
    return found.keys() == expected.keys() and all(
        np.array_equal(to_numpy(found[name]), expected[name].numpy()) for name in expected
    )


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


def convert(source, target, *flags, network="unet"):
    return main(["convert", "--network", network, "--from", str(source), "--to", str(target),
                 *flags])  # fmt: skip


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
    assert "Left out 1 keys outside the network, first loss.weight" in caplog.text


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


def objects():
    """Harmless objects as training scripts save them beside weights."""
    return {
        "args": argparse.Namespace(lr=0.1, out=pathlib.Path("runs/1")),
        "windows": pathlib.PureWindowsPath("C:/runs"),
        "best": np.float64(0.9),
        "step": np.int64(3),
        "curve": np.arange(3.0),
        "names": np.array(["a", None], object),
        "dtype": np.dtype("float32"),
        "started": datetime.datetime(2024, 1, 1),
        "counts": defaultdict(list, {"a": [1]}),
        "seen": {1, 2},
        "settings": Settings(lr=0.1),
        "loss": torch.nn.BCELoss(),
        "device": torch.device("cpu"),
    }


@pytest.mark.parametrize("name", sorted(objects()))
def test_objects_beside_the_weights_do_not_matter(tmp_path, state, name):
    path = saved(tmp_path / "x.pth", {"state_dict": state, name: objects()[name]})
    assert same(state_dict_of("unet", read_checkpoint(path)), state)


def test_nothing_that_a_file_names_is_called(tmp_path, state):
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return subprocess.call, (["touch", str(ran)],)

    path = saved(tmp_path / "x.pth", {"state_dict": state, "x": Hostile()})
    assert same(state_dict_of("unet", read_checkpoint(path)), state)
    assert not ran.exists()


def test_calls_of_the_operating_system_are_refused(tmp_path, capsys, state):
    class Hostile:
        def __reduce__(self):
            return os.system, ("true",)

    path = saved(tmp_path / "x.pth", {"state_dict": state, "x": Hostile()})
    code = convert(path, tmp_path / "y.safetensors")
    assert_refused(code, capsys.readouterr().err, "do not load it")


@pytest.mark.parametrize("wrap", [lambda m: m, torch.nn.DataParallel, lambda m: {"model": m}])
def test_a_whole_pickled_module_is_read_without_its_class(tmp_path, wrap):
    module = reference("unet").float()
    module.register_buffer("scratch", torch.ones(1), persistent=False)
    content = read_checkpoint(saved(tmp_path / "x.pth", wrap(module)))
    assert same(state_dict_of("unet", content), module.state_dict())


def test_arrays_in_place_of_tensors_are_read(tmp_path, state):
    arrays = {name: np.asfortranarray(tensor.numpy()) for name, tensor in state.items()}
    arrays["Conv_1x1.bias"] = arrays["Conv_1x1.bias"].astype(">f4")
    content = read_checkpoint(saved(tmp_path / "x.pth", arrays))
    assert same(state_dict_of("unet", content), state)


def pickled(path, content):
    with path.open("wb") as file:
        pickle.dump(content, file)
    return path


def scripted(path, module):
    torch.jit.trace(module, torch.zeros(1, 3, 32, 32), strict=False).save(path)
    return path


@pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore:.*protocol 4")
@pytest.mark.parametrize(
    "save",
    [
        lambda path, state: pickled(path, {"net": state, "args": argparse.Namespace()}),
        lambda path, state: pickled(path, {name: t.numpy() for name, t in state.items()}),
        lambda path, state: saved(path, {"net": state}, pickle_protocol=4),
        lambda path, state: saved(
            path,
            {"net": state, "args": argparse.Namespace()},
            _use_new_zipfile_serialization=False,
        ),
        lambda path, state: scripted(path, _loaded(state)),
    ],
)
def test_printed_commands_work_for_this_file(tmp_path, capsys, state, save):
    path = save(tmp_path / "it's a file.pth", state)
    code = convert(path, tmp_path / "y.safetensors")
    message = capsys.readouterr().err
    assert_refused(code, message, str(path))
    command = message.replace("\n", " ").partition("convert that file: ")[2].strip()
    assert command.startswith("python -c ")
    subprocess.run(sys.executable + command.removeprefix("python"), shell=True, check=True, env={})
    content = read_checkpoint(tmp_path / "it's a file_resaved.pth")
    found = state_dict_of("unet", content)  # a module's also has counters
    assert same({name: found[name] for name in state}, state)


def _loaded(state):
    module = reference("unet").float()
    module.load_state_dict(state)
    return module


def test_files_from_before_pytorch_1_6_are_read(tmp_path, state):
    path = saved(tmp_path / "x.pth.tar", {"epoch": 1, "state_dict": prefixed("module.", state)},
                 _use_new_zipfile_serialization=False)  # fmt: skip
    assert same(state_dict_of("unet", read_checkpoint(path)), state)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"\n<!DOCTYPE html><html><title>Google Drive</title>", "is a web page"),
        (b"<HTML>", "is a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "git lfs pull"),
        (b"", "is empty"),
        (b"\x1f\x8b\x08\x00", "is a compressed archive"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"PK\x03\x04cut off", "is incomplete or damaged"),
        (b"weights", "holds no weights"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_other_files_are_called_what_they_are(tmp_path, capsys, content, named, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    for target in ("y.safetensors", "y.pth"):
        code = convert(path, tmp_path / target)
        message = capsys.readouterr().err
        assert_refused(code, message, named)
        assert str(path) in message


def test_a_truncated_download_is_called_that(tmp_path, capsys, state):
    path = saved(tmp_path / "x.pth", state)
    path.write_bytes(path.read_bytes()[:-1000])
    code = convert(path, tmp_path / "y.safetensors")
    assert_refused(code, capsys.readouterr().err, "is incomplete or damaged")


def test_a_zip_of_other_files_is_called_that(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("model/readme.txt", "x")
    code = convert(tmp_path / "x.pth", tmp_path / "y.safetensors")
    assert_refused(code, capsys.readouterr().err, "model/readme.txt")


def test_content_counts_not_the_suffix(tmp_path, state):
    for written, renamed in ((".npz", ".pth"), (".safetensors", ".bin"), (".pth", ".npz")):
        write_state_dict(tmp_path / f"x{written}", {k: v.numpy() for k, v in state.items()})
        (tmp_path / f"x{written}").rename(tmp_path / f"y{renamed}")
        assert same(state_dict_of("unet", read_checkpoint(tmp_path / f"y{renamed}")), state)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda t: t.to_sparse(), "a sparse coo tensor"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "a quantized tensor"),
        (lambda t: t.to("meta"), "a meta"),
        (lambda t: t.to(torch.complex64), "holds complex64"),
        (lambda t: (100 * t).to(torch.int8), "holds int8"),
        (lambda t: t > 0, "holds bool"),
        (lambda t: t.clone().fill_(float("nan")), r"holds 1296 of 1296 values that are NaN"),
        (lambda t: torch.where(t == t.max(), float("inf"), t), "holds 1 of 1296 values"),
        (lambda t: t.double() * 1e300, "too large for float32"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor")
def test_weights_that_are_no_plain_numbers_are_refused_by_name(state, spoil, named):
    key = "Conv5.conv.3.weight"
    state[key] = spoil(state[key].clone())
    with pytest.raises(UserError, match=rf"Key '{key}' .*{named}"):
        from_torch("unet", state)


def test_float64_is_written_as_float32(tmp_path, capsys, state):
    path = saved(tmp_path / "x.pth", {name: t.double() for name, t in state.items()})
    assert convert(path, tmp_path / "y.safetensors") == 0
    assert f"{len(state)} arrays of float64 rounded to float32" in capsys.readouterr().out
    _, variables = read_weights(tmp_path / "y.safetensors")
    kernel = variables["params"]["head"]["kernel"]
    assert kernel.dtype == np.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(state, dtype):
    _, variables = from_torch("unet", {name: t.to(dtype) for name, t in state.items()})
    bias = variables["params"]["head"]["bias"]
    assert bias.dtype == np.float32
    np.testing.assert_array_equal(bias, state["Conv_1x1.bias"].to(dtype).float().numpy())


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
