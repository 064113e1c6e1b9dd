"""Initial values of a run from `config.model.start_from`."""

import contextlib
from types import SimpleNamespace

import flax.linen as nn
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from s2a_jax.convert.weights import Description, save_weights
from s2a_jax.errors import UserError
from s2a_jax.models.layers import BatchNorm, Conv
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training import loop
from s2a_jax.training.initial import read_initial, read_start
from s2a_jax.training.sharding import make_mesh
from s2a_jax.training.state import abstract_state, create_state


def model(start_from=None, pretrained=None):
    return SimpleNamespace(start_from=start_from, pretrained=pretrained)


class Small(nn.Module):
    """A convolution, a batch norm and a head."""

    @nn.compact
    def __call__(self, x, *, train):
        x = BatchNorm(name="bn")(Conv(64, 3, padding=1, name="conv")(x), train=train)
        return Conv(2, 1, name="head")(x)


@pytest.fixture(scope="module")
def network():
    parts = abstract_state(Small(), optax.adam(0.1), 16, make_mesh(fsdp=4), seed=0, ema=True,
                           channels=3)  # fmt: skip
    return Description("small", {"slabs": ("a", "b", "c")}), *parts


@pytest.fixture(scope="module")
def arrays(network):
    *_, abstract = network
    both = {"params": abstract.params, "batch_stats": abstract.batch_stats}
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=leaf.shape).astype(np.float32)
        for name, leaf in flatten_dict(both, sep="/").items()
    }


def test_parameters_statistics_and_average_start_from_a_file(
    network, arrays, tmp_path, monkeypatch
):
    described, init, abstract = network
    head = "params/head/bias"
    kept = {name: array for name, array in arrays.items() if name != head}
    save_weights(tmp_path / "start.safetensors", described, unflatten_dict(kept, sep="/"))
    monkeypatch.chdir(tmp_path)
    section = model("start.safetensors")
    initial = read_initial(section, read_start(section), described, abstract)
    total = len(arrays)
    assert initial.note == (
        f"Started from start.safetensors: {total - 1} of {total} arrays; with random initial "
        "values: head/bias."
    )
    state = create_state(init, abstract, initial.values)
    for tree, section in (
        (state.params, "params"),
        (state.ema_params, "params"),
        (state.batch_stats, "batch_stats"),
    ):
        flat = flatten_dict(tree, sep="/")
        assert flat
        for name, array in flat.items():
            equal = np.array_equal(array, arrays[f"{section}/{name}"])
            assert equal == (f"{section}/{name}" != head)
    kernel = state.params["conv"]["kernel"]
    assert kernel.sharding == abstract.params["conv"]["kernel"].sharding
    assert not kernel.sharding.is_fully_replicated


def test_mistakes_name_the_field(network):
    described, _, abstract = network
    for section, words in (
        (model("sim_to_real", "R50+ViT-B_16.npz"), "pretrained and config.model.start_from are bo"),
        (model("sim_to_real"), "config.model.start_from=sim_to_real is the network s2anet"),
        (model("nowhere"), "config.model.start_from=nowhere: No weights at nowhere"),
    ):
        with pytest.raises(UserError, match=words):
            read_initial(section, read_start(section), described, abstract)


def test_a_frozen_part_takes_every_value_from_its_start(network, arrays, tmp_path):
    described, _, abstract = network
    bias = "params/conv/bias"
    kept = {name: array for name, array in arrays.items() if name != bias}
    save_weights(tmp_path / "start.safetensors", described, unflatten_dict(kept, sep="/"))
    section = model(str(tmp_path / "start.safetensors"))
    start = read_start(section)
    with pytest.raises(UserError, match=r"no values for conv/bias, and .*encoder_rate=0 would"):
        read_initial(section, start, described, abstract, ("conv",))
    assert bias not in read_initial(section, start, described, abstract, ("head",)).values


def test_a_start_that_is_missing_ends_before_the_network_is_traced(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "make_setup", lambda config: pytest.fail("traces the network"))
    monkeypatch.setattr(loop, "evaluation_settings", lambda config: None)
    config = SimpleNamespace(model=model("nowhere"), eval=None)
    with pytest.raises(UserError, match=r"start_from=nowhere: No weights at nowhere"):
        loop.train(config, Workdir(tmp_path), None)


def test_a_resumed_run_does_not_read_its_start(network, tmp_path, monkeypatch):
    described, _, abstract = network
    parts = SimpleNamespace(
        dataset=None,
        evaluator=SimpleNamespace(description=described),
        training=SimpleNamespace(abstract=abstract),
    )
    monkeypatch.setattr(loop, "make_setup", lambda config: parts)
    monkeypatch.setattr(loop, "evaluation_settings", lambda config: None)
    monkeypatch.setattr(loop, "_alone", lambda workdir: contextlib.nullcontext())
    monkeypatch.setattr(loop, "_train", lambda config, setup, initial, *rest: initial)
    config = SimpleNamespace(model=model("moved.safetensors"), eval=None)
    workdir = Workdir(tmp_path)
    with pytest.raises(UserError, match=r"start_from=moved\.safetensors"):
        loop.train(config, workdir, None)
    (workdir.checkpoints / "4").mkdir(parents=True)
    assert loop.train(config, workdir, None) is None
