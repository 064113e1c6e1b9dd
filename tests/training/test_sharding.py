"""The step on one device, on eight, and lowered for accelerators."""

import collections
import functools
import re

import jax
import numpy as np
import optax
import pytest
from jax import export
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

from s2a_jax.errors import UserError
from s2a_jax.objectives.joint import Objective
from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.sharding import (
    batch_sharding,
    check_divisible,
    gather,
    make_mesh,
    own_rows,
    parts_sharding,
    put_batch,
    replicated,
    state_shardings,
)
from s2a_jax.training.state import abstract_state, create_state
from s2a_jax.training.step import train_step
from tests.networks import Small

SIZE, BATCH = 32, 8
MODULE = Small(dropout_rate=0.1)


def make_step(mesh):
    """The jitted step as a run builds it, `init`, the abstract state, and a batch."""
    optimizer = optax.sgd(0.01)
    init, abstract = abstract_state(MODULE, optimizer, SIZE, mesh, seed=0, ema=True)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    step = jax.jit(
        functools.partial(
            train_step,
            module=MODULE,
            optimizer=optimizer,
            objective=Objective(bce_weight=1.0),
            augmentation=Augmentation(gamma=0.5),
            steps_per_epoch=1,
            epochs=5,
            ema_decay=0.9,
            mesh=mesh,
        ),
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 256, (BATCH, SIZE, SIZE), np.uint8),
        "rv": rng.integers(0, 2, (BATCH, SIZE, SIZE), np.uint8),
        "faz": rng.integers(0, 2, (BATCH, SIZE, SIZE), np.uint8),
        "has_rv": np.ones(BATCH, np.float32),
        "has_faz": (np.arange(BATCH) % 2).astype(np.float32),
    }
    return step, init, abstract, put_batch(batch, mesh)


def run(made, steps=3):
    step, init, abstract, batch = made
    state = create_state(init, abstract, {})
    history = []
    for _ in range(steps):
        state, metrics = step(state, batch)
        history.append(jax.device_get(metrics))
    return state, history


def one_device_mesh():
    devices = np.array(jax.devices()[:1]).reshape(1, 1)
    return Mesh(devices, ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)


@pytest.fixture(scope="module")
def one_device():
    made = make_step(one_device_mesh())
    return *run(made), made[0]


@pytest.fixture(scope="module")
def split():
    """`make_step` for two replicas of four devices each, traced once for all tests."""
    return make_step(make_mesh(fsdp=4))


def collectives(compiled):
    """How often each collective occurs in a compiled program."""
    found = re.findall(r" (all-gather|all-reduce|all-to-all|collective-permute)(?:-start)?\(",
                       compiled.as_text())  # fmt: skip
    return collections.Counter(found)


@pytest.mark.parametrize("fsdp", [1, 4])
def test_eight_devices_compute_what_one_does(one_device, split, fsdp, capfd):
    step, init, abstract, batch = split if fsdp == 4 else make_step(make_mesh(fsdp=fsdp))
    step = step.lower(abstract, batch).compile()
    assert "Involuntary full rematerialization" not in capfd.readouterr().err
    splits = [leaf for leaf in jax.tree.leaves(abstract.params) if is_split(leaf)]
    assert len(splits) == (0 if fsdp == 1 else 3)
    counts = collectives(step)
    # Each split array is gathered for the forward pass and again for the backward pass.
    assert counts["all-gather"] == 2 * len(splits)
    assert counts.keys() <= {"all-gather", "all-reduce"}  # no activation changes its layout

    state, history = run((step, init, abstract, batch))
    expected, expected_history, _ = one_device
    for ours, theirs in zip(history, expected_history, strict=True):
        np.testing.assert_allclose(ours["loss"], theirs["loss"], atol=1e-5)
    # Small maps: batch norm over few pixels amplifies rounding.
    for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=5e-5)


def test_fsdp_splits_large_arrays(split):
    _, _, abstract, _ = split
    large = [leaf for leaf in jax.tree.leaves(abstract.params) if leaf.size >= 4096]
    assert large
    assert all(is_split(leaf) for leaf in large)


def is_split(leaf):
    return leaf.sharding.shard_shape(leaf.shape) != leaf.shape


@pytest.mark.parametrize(
    ("shape", "fsdp", "spec"),
    [
        ((64, 32), 4, P("fsdp")),
        ((32, 64), 4, P(None, "fsdp")),
        ((3, 3, 64, 30), 4, P(None, None, "fsdp")),  # 30 is not divisible
        ((3, 3, 30, 64), 4, P(None, None, None, "fsdp")),
        ((32, 32), 4, P("fsdp")),  # 2**10 elements
        ((4, 255), 4, P()),  # fewer
        ((33, 35), 4, P()),  # nothing to divide
        ((6, 1000), 2, P(None, "fsdp")),
        ((4096,), 4, P()),  # statistics of norms
        ((64, 32), 1, P()),
    ],
)
def test_the_largest_divisible_dimension_is_split(shape, fsdp, spec):
    mesh = make_mesh(fsdp=fsdp)
    assert mesh.axis_names == ("data", "fsdp") and mesh.devices.shape == (8 // fsdp, fsdp)
    (sharding,) = state_shardings([jax.ShapeDtypeStruct(shape, np.float32)], mesh)
    assert sharding.mesh == mesh and sharding.spec == spec


def test_a_batch_is_split_over_both_axes_in_order():
    mesh, rows = make_mesh(fsdp=4), np.arange(16 * 3).reshape(16, 3)
    array = put_batch({"image": rows}, mesh)["image"]
    assert array.sharding == batch_sharding(mesh)
    for number, device in enumerate(mesh.devices.ravel()):
        (shard,) = (shard for shard in array.addressable_shards if shard.device == device)
        np.testing.assert_array_equal(shard.data, rows[2 * number : 2 * number + 2])
    np.testing.assert_array_equal(own_rows(array), rows)
    assert parts_sharding(mesh).shard_shape((3, 16, 5)) == (3, 2, 5)
    split = jax.device_put(np.arange(64 * 32).reshape(64, 32), batch_sharding(mesh))
    whole = gather({"a": split}, mesh)["a"]
    assert isinstance(whole, np.ndarray)
    np.testing.assert_array_equal(whole, np.arange(64 * 32).reshape(64, 32))


def test_nothing_is_compiled_again_from_epoch_to_epoch(one_device):
    _, _, step = one_device  # three epochs of one step
    assert step._cache_size() == 1


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_step_lowers_for_accelerators(split, platform):
    step, _, abstract, batch = split
    exported = export.export(step, platforms=[platform])(abstract, batch)
    assert exported.nr_devices == 8
    assert exported.platforms == (platform,)


def test_alpha_follows_the_epoch(one_device):
    _, history, _ = one_device
    for epoch, row in enumerate(history):
        ratio = (row["loss_rv"] - row["loss_faz"]) / (row["loss_rv"] + row["loss_faz"])
        expected = 0.1 + 0.8 * np.sin(epoch / 5 * np.pi / 2) + 0.1 * ratio
        np.testing.assert_allclose(row["alpha"], expected, atol=1e-6)


def test_impossible_meshes_and_batches_are_refused():
    with pytest.raises(UserError, match="config\\.mesh"):
        make_mesh(fsdp=3)
    with pytest.raises(UserError, match="batch_size=6"):
        check_divisible(6, make_mesh(), "config.train.batch_size")
    with pytest.raises(UserError, match="8 devices and 3 parts; choose a multiple of 24"):
        check_divisible(16, make_mesh(), "config.train.batch_size", parts=3)
