"""`python -m s2a_jax convert`: every format in and out, and refused input."""

import numpy as np
import pytest
import torch
from references import KNOWN, reference, state_of

from s2a_jax import S2ANet
from s2a_jax.cli import run as main
from s2a_jax.convert.files import read_checkpoint, write_state_dict


def state_dict(network):
    return {k: v.astype(np.float32) for k, v in state_of(reference(network)).items()}


def known(network):
    return [f"--known={name}={value}" for name, value in KNOWN[network].items()]


def convert(*arguments):
    return main(["convert", *map(str, arguments)])


@pytest.mark.parametrize(
    ("network", "suffix"),
    [
        ("s2anet", ".pth"),
        ("unet", ".pt"),
        ("transunet", ".safetensors"),
        ("jointseg", ".npz"),
        ("vaffnet", ".pth"),
    ],
)
def test_there_and_back_is_exact_and_predicts(tmp_path, network, suffix):
    state = state_dict(network)
    source, ours, back = (tmp_path / n for n in ("a" + suffix, "ours.safetensors", "b" + suffix))
    write_state_dict(source, state)
    flags = ("--network", network, *known(network))
    assert convert("--from", source, "--to", ours, *flags) == 0
    assert convert("--from", ours, "--to", back) == 0
    again = read_checkpoint(back)
    assert again.keys() == state.keys()
    assert all(np.array_equal(again[name], state[name]) for name in state)
    model = S2ANet.load_from_checkpoint(ours)
    assert model.network == network
    rv, faz = model.predict(np.zeros((40, 50), np.uint8))
    assert rv.shape == faz.shape == (40, 50)


def test_a_state_dict_within_a_training_checkpoint(tmp_path):
    tensors = {f"module.{k}": torch.tensor(v) for k, v in state_dict("unet").items()}
    torch.save({"epoch": 3, "state_dict": tensors}, tmp_path / "a.pth")
    ours = tmp_path / "ours.safetensors"
    assert convert("--network", "unet", "--from", tmp_path / "a.pth", "--to", ours) == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--from", "none.pth", "--to", "x.safetensors"], "none.pth"),
        (["--from", "a.npz", "--to", "x.safetensors"], "--network"),
        (["--network", "s2anet", "--from", "a.npz", "--to", "x.npz"], ".safetensors"),
        (["--network", "s2anet", "--from", "a.npz", "--to", "x.h5"], "x.h5"),
        (["--network", "unet", "--from", "a.npz", "--to", "x.safetensors"], "--network s2anet"),
        (["--network", "s2anet", "--from", "a.npz", "--to", "x.safetensors", "--known", "z"], "z"),
        (["--network", "s2anet", "--from", "bad.npz", "--to", "x.safetensors"], "bad.npz"),
        (["--network", "s2anet", "--from", "bad.pth", "--to", "x.safetensors"], "bad.pth"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, monkeypatch, capsys, arguments, named):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", **state_dict("s2anet"))
    for name in ("bad.npz", "bad.pth"):
        (tmp_path / name).write_bytes(b"not an archive")
    assert convert(*arguments) == 2
    message = capsys.readouterr().err
    assert named in message
    assert len(message.strip().splitlines()) == 1
    assert not list(tmp_path.glob("x.*"))
