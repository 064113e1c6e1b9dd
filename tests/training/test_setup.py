"""Every field of a configuration reaches the part of the run that it is meant for."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.errors import UserError
from s2a_jax.objectives.joint import Objective
from s2a_jax.training import setup
from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.setup import check_batch, check_crop, make_setup

CHANGED = {
    "seed": 11, "model.name": "unet", "model.variant": "tiny", "data.size": 64,
    "data.slab": "deep,whole,superficial", "model.start_from": "trained",
    "train.epochs": 7, "train.batch_size": 16, "train.accumulate": 2, "train.ema_decay": 0.25,
    "train.remat": "blocks", "mesh.fsdp": 2, "eval.batch_size": 24, "eval.threshold": 0.3,
    "augment.crop": 32, "augment.noise": 0.2, "objective.bce_weight": 0.75,
    "objective.balance": "dwa", "optimizer.schedule": "poly_epoch", "optimizer.power": 1.0,
    "optimizer.learning_rate": 0.5, "optimizer.encoder_rate": 0.0, "optimizer.name": "adam",
}  # fmt: skip


def dataset():
    """Stands for 80 cases of three slabs, 5 steps an epoch."""
    return SimpleNamespace(
        train="train", val=["case"], size=64, slab="deep,whole,superficial",
        slabs=("deep", "whole", "superficial"), pitches_um=(10.0,), eyes=None,
        sources={"main": (range(80), None)}, trained_tasks=lambda: ("rv",),
        steps_per_epoch=lambda batch_size: 80 // batch_size,
    )  # fmt: skip


@pytest.fixture
def made(monkeypatch):
    """The run, the arguments of its stream, and those of its evaluator."""
    config, seen = resolve(load_config("synthetic")), {}
    config.update_from_flattened_dict(CHANGED)
    monkeypatch.setattr(setup, "load_run_data", lambda *_: dataset())
    monkeypatch.setattr(setup, "jit_step", lambda step, abstract, mesh: step)
    monkeypatch.setattr(setup, "TrainStream", lambda *given: seen.update(stream=given))
    make_evaluator = setup.make_evaluator

    def evaluator(*given, **named):
        seen["evaluator"] = named
        return make_evaluator(*given, **named)

    monkeypatch.setattr(setup, "make_evaluator", evaluator)
    return config, make_setup(config), seen


def test_a_run_is_made_of_its_configuration(made):
    config, run, seen = made
    training, step = run.training, run.training.step.keywords
    assert training.mesh.shape == {"data": 4, "fsdp": 2} and step["mesh"] is training.mesh
    assert (training.steps_per_epoch, training.epochs, training.total_steps) == (5, 7, 35)
    assert (step["steps_per_epoch"], step["epochs"], step["accumulate"]) == (5, 7, 2)
    assert (step["ema_decay"], step["remat"]) == (0.25, "blocks")
    assert step["frozen"] == ("encoder",)
    assert step["augmentation"] == Augmentation(**config.augment)
    assert step["augmentation"].noise == 0.2
    assert step["objective"] == Objective("dwa", bce_weight=0.75)
    assert step["module"].widths == (8, 16, 32, 64, 128)
    # The rate falls after each epoch, from the first one on.
    rates = [float(training.schedule(np.int32(step))) for step in (0, 5, 10, 34)]
    np.testing.assert_allclose(rates, [0.5, 0.5, 0.5 * 6 / 7, 0.5 * 2 / 7], rtol=1e-5)
    assert seen["stream"] == ("train", run.dataset.sources, 16, 11, 0, 1, None)


def test_the_state_fits_the_configuration(made):
    _, run, _ = made
    abstract = run.training.abstract
    kernel = abstract.params["encoder"]["level1"]["conv1"]["conv"]["kernel"]
    assert kernel.shape == (3, 3, 3, 8)  # of three slabs
    assert jax.tree.structure(abstract.ema_params) == jax.tree.structure(abstract.params)
    assert set(abstract.balance) == {"sum", "count", "last", "before_last"}
    parts = jax.tree.leaves(abstract.opt_state, is_leaf=lambda part: hasattr(part, "mu"))
    moments = [part.mu for part in parts if hasattr(part, "mu")]
    assert [set(each) for each in moments] == [{"decoder", "head"}]  # the encoder is frozen
    largest = abstract.params["encoder"]["level5"]["conv2"]["conv"]["kernel"]
    assert largest.sharding.shard_shape(largest.shape) != largest.shape


def test_the_evaluator_fits_the_configuration(made):
    _, run, seen = made
    assert seen["evaluator"] == {"batch_size": 24, "threshold": 0.3}
    assert run.evaluator.batch_size == 24
    assert run.evaluator.slabs == ("deep", "whole", "superficial")
    description = run.evaluator.description
    assert (description.network, description.slab) == ("unet", "deep,whole,superficial")
    assert description.fields["widths"] == (8, 16, 32, 64, 128)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("train.batch_size", 12, r"train\.batch_size=12"),  # 8 devices and 2 parts
        ("eval.batch_size", 12, r"eval\.batch_size=12"),
        ("train.remat", "all", r"train\.remat='all'"),
        ("objective.balance", "even", r"objective\.balance='even'"),
        ("augment.crop", 40, r"augment\.crop=40"),
        ("augment.crop", 80, r"augment\.crop=80"),
        ("train.epochs", 0, r"train\.epochs=0"),
    ],
)
def test_fields_that_do_not_fit_are_refused(monkeypatch, field, value, named):
    config = resolve(load_config("synthetic"))
    config.update_from_flattened_dict(CHANGED | {field: value})
    monkeypatch.setattr(setup, "load_run_data", lambda *_: pytest.fail("reads the data set"))
    with pytest.raises(UserError, match=named):
        make_setup(config)


def test_a_batch_of_too_many_cases_is_refused_before_the_network_is_traced(monkeypatch):
    config = resolve(load_config("synthetic"))
    config.update_from_flattened_dict(CHANGED | {"train.batch_size": 96})
    monkeypatch.setattr(setup, "load_run_data", lambda *_: dataset())
    monkeypatch.setattr(setup, "abstract_state", lambda *_, **__: pytest.fail("traces"))
    with pytest.raises(UserError, match=r"train\.batch_size=96 is more than the 80"):
        make_setup(config)


def test_crops_and_batches():
    assert (check_crop(0, 64), check_crop(16, 64), check_crop(64, 64)) == (64, 16, 64)
    check_batch(80, dataset())
    with pytest.raises(UserError, match="batch_size=81 is more than the 80"):
        check_batch(81, dataset())
