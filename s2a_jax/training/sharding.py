"""Devices as a (data, fsdp) mesh, and the layout of state and batches on it.

`jax.jit` with `NamedSharding` is what `pjit` was: one program for all devices, which XLA splits.
A single device is the smallest mesh. Batches are split over both axes. With fsdp > 1 every large
array of the state is split over that axis as well; `forward.py` gathers parameters layer by layer.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from s2a_jax.errors import UserError

_SMALLEST_SHARDED = 2**10  # elements; gathering anything smaller costs more than storing it


def make_mesh(data: int = -1, fsdp: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of all devices.

    Args:
        data: number of replicas; -1: as many as fit.
        fsdp: devices that share one copy of the state.
        devices: those of a machine to compile for; None: those of this one.

    Raises:
        UserError: the product is not the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    if data == -1 and fsdp > 0:
        data = len(devices) // fsdp
    if data < 1 or fsdp < 1 or data * fsdp != len(devices):
        raise UserError(
            f"config.mesh: data={data} x fsdp={fsdp} does not use all {len(devices)} devices; "
            "choose an fsdp that divides their number, and data=-1."
        )
    # Explicit axes are make_mesh's default; Linen's modules need Auto ones.
    return jax.make_mesh(
        (data, fsdp), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2, devices=devices
    )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Splits the first axis over all devices."""
    return NamedSharding(mesh, P(("data", "fsdp")))


def parts_sharding(mesh: Mesh) -> NamedSharding:
    """Splits the second axis over all devices: each part of a batch lies on all of them."""
    return NamedSharding(mesh, P(None, ("data", "fsdp")))


def replicated(mesh: Mesh) -> NamedSharding:
    """Puts a full copy on every device."""
    return NamedSharding(mesh, P())


def state_shardings(state: Any, mesh: Mesh) -> Any:
    """Sharding on `mesh` of every array of `state`, which may consist of shapes.

    The largest dimension that fsdp divides is split. Small arrays are replicated, and so are
    vectors: split statistics of a norm would make XLA split its activations by channels.
    """
    fsdp = mesh.shape["fsdp"]

    def shard(leaf: Any) -> NamedSharding:
        if fsdp == 1 or leaf.ndim < 2 or leaf.size < _SMALLEST_SHARDED:
            return replicated(mesh)
        divisible = [axis for axis, n in enumerate(leaf.shape) if n % fsdp == 0]
        if not divisible:
            return replicated(mesh)
        axis = max(divisible, key=lambda i: leaf.shape[i])
        return NamedSharding(mesh, P(*([None] * axis), "fsdp"))

    return jax.tree.map(shard, state)


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Makes global arrays, split over all devices, from each process's rows of a batch."""
    sharding = batch_sharding(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, rows) for name, rows in batch.items()
    }


def own_rows(array: jax.Array) -> np.ndarray:
    """This process's rows of an array that lies as `put_batch` put it, in their order."""
    shards = {shard.index[0].start or 0: shard.data for shard in array.addressable_shards}
    return np.concatenate([np.asarray(shards[start]) for start in sorted(shards)])


def gather(tree: Any, mesh: Mesh) -> Any:
    """Whole NumPy arrays on every process; all processes must call this."""
    return jax.device_get(jax.jit(lambda whole: whole, out_shardings=replicated(mesh))(tree))


def check_divisible(batch_size: int, mesh: Mesh, field: str, parts: int = 1) -> None:
    """Raises a UserError unless every device gets the same number of cases in each of the parts."""
    share = parts * mesh.size
    if batch_size < 1 or batch_size % share:
        over = f"{mesh.size} devices" + (f" and {parts} parts" if parts > 1 else "")
        raise UserError(
            f"{field}={batch_size} cannot be split evenly over {over}; "
            f"choose a multiple of {share}."
        )
