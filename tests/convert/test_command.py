"""`python -m s2a_jax convert`: every format in, every format out, and what is refused."""

import numpy as np
import pytest
import torch
from references import reference, state_of

from s2a_jax import S2ANet
from s2a_jax.cli import main
from s2a_jax.convert.files import read_state_dict, write_state_dict

KNOWN = ["--known", "num_heads=4", "--known", "groups=4", "--known", "dropout_rate=0"]


@pytest.fixture(scope="module")
def state():
    return {k: v.astype(np.float32) for k, v in state_of(reference("s2anet")).items()}


def convert(*arguments):
    return main(["convert", *map(str, arguments)])


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors", ".npz"])
def test_there_and_back_is_exact(state, tmp_path, suffix):
    source, ours, back = (tmp_path / n for n in ("a" + suffix, "ours.safetensors", "b" + suffix))
    write_state_dict(source, state)
    assert convert("--network", "s2anet", "--from", source, "--to", ours, *KNOWN) == 0
    assert convert("--from", ours, "--to", back) == 0
    again = read_state_dict(back)
    assert again.keys() == state.keys()
    assert all(np.array_equal(again[name], state[name]) for name in state)
    rv, faz = S2ANet.load_from_checkpoint(ours).predict(np.zeros((40, 50), np.uint8))
    assert rv.shape == faz.shape == (40, 50)


def test_a_state_dict_within_a_training_checkpoint(state, tmp_path):
    tensors = {f"module.{name}": torch.tensor(array) for name, array in state.items()}
    torch.save({"epoch": 3, "state_dict": tensors}, tmp_path / "a.pth")
    ours = tmp_path / "ours.safetensors"
    assert convert("--network", "s2anet", "--from", tmp_path / "a.pth", "--to", ours, *KNOWN) == 0


def test_a_pickled_module_is_refused_with_the_way_out(tmp_path, capsys):
    torch.save(reference("unet"), tmp_path / "whole.pth")
    ours = tmp_path / "ours.safetensors"
    assert convert("--network", "unet", "--from", tmp_path / "whole.pth", "--to", ours) == 2
    message = capsys.readouterr().err
    assert "torch.save(model.state_dict(), 'state_whole.pth')" in message
    assert len(message.strip().splitlines()) == 4
    assert not ours.exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--from", "none.pth", "--to", "x.safetensors"], "none.pth"),
        (["--from", "a.npz", "--to", "x.safetensors"], "--network"),
        (["--network", "s2anet", "--from", "a.npz", "--to", "x.npz"], ".safetensors"),
        (["--network", "s2anet", "--from", "a.npz", "--to", "x.h5"], "x.h5"),
        (["--network", "unet", "--from", "a.npz", "--to", "x.safetensors"], "Conv1.conv.0.weight"),
        (["--network", "s2anet", "--from", "a.npz", "--to", "x.safetensors", "--known", "z"], "z"),
        (["--network", "s2anet", "--from", "bad.npz", "--to", "x.safetensors"], "bad.npz"),
        (["--network", "s2anet", "--from", "bad.pth", "--to", "x.safetensors"], "bad.pth"),
    ],
)
def test_mistakes_are_one_sentence(state, tmp_path, monkeypatch, capsys, arguments, named):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", **state)
    for name in ("bad.npz", "bad.pth"):
        (tmp_path / name).write_bytes(b"not an archive")
    assert convert(*arguments) == 2
    message = capsys.readouterr().err
    assert named in message
    assert len(message.strip().splitlines()) == 1
    assert not list(tmp_path.glob("x.*"))
