"""Files of PyTorch with other objects than weights, and files that are something else."""

import argparse
import datetime
import os
import pathlib
import pickle
import shlex
import subprocess
import warnings
import zipfile
from collections import defaultdict

import numpy as np
import pytest
import torch
from references import reference
from refusals import assert_refused
from unets import convert, prefixed, same, saved, unet_state

from s2a_jax.convert.files import read_checkpoint, write_state_dict
from s2a_jax.convert.torch_weights import state_dict_of
from s2a_jax.errors import UserError


class Settings(dict):
    """A class that a user's training script could define."""


@pytest.fixture
def state():
    return unet_state()


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


def test_older_versions_of_pytorch_are_refused(tmp_path, state, monkeypatch):
    path = saved(tmp_path / "x.pth", state)
    monkeypatch.delattr(torch.serialization, "get_unsafe_globals_in_checkpoint")
    with pytest.raises(UserError, match=r"needs PyTorch 2\.6 or newer"):
        read_checkpoint(path)


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
    words = shlex.split(command)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the command ends with the file open
        exec(words.pop(), {})  # a new process would import PyTorch again, which takes 2 s
    assert words == ["python", "-c"]
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
