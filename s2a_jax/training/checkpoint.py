"""Checkpoints with orbax: written in the background, the latest and the best are kept.

This is the one file that knows orbax; its v0 `CheckpointManager` goes with orbax 1.0.
"""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from s2a_jax.errors import UserError
from s2a_jax.training.quiet import DamageError, read_quietly

# Orbax warns of what is as it should be here: a state saved without a score, a part of a checkpoint
# that has no metadata of its own.
_IDLE = ("Requested `tracked_metric`", "Metadata file does not exist")
logging.getLogger("absl").addFilter(lambda record: not str(record.msg).startswith(_IDLE))


class Checkpoints:
    """Numbered checkpoints below one folder.

    Each holds `state` (the arrays) and `meta` (JSON: the run's configuration and more), and the
    score of the validation that it was saved with, if there was one.

    Raises:
        UserError: a score cannot be read.
    """

    def __init__(self, folder: Path):
        self._folder = folder.absolute()
        _check_scores(self._folder)
        policy = preservation_policy.AnyPreservationPolicy(
            [
                preservation_policy.LatestN(1),
                preservation_policy.BestN(
                    get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False
                ),
            ]
        )
        options = ocp.CheckpointManagerOptions(
            best_fn=_score, best_mode="max", preservation_policy=policy
        )
        self._manager = ocp.CheckpointManager(
            self._folder, options=options, item_names=("state", "meta")
        )

    @property
    def latest_step(self) -> int | None:
        """Step of the newest checkpoint."""
        return self._manager.latest_step()

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and score of the best validated checkpoint."""
        self._manager.wait_until_finished()  # the score of a checkpoint lies on disk
        step = self._manager.best_step()
        metrics = None if step is None else self._manager.metrics(step)
        return None if metrics is None else (step, metrics["score"])

    def save(self, step: int, state: Any, meta: dict[str, Any], score: float | None) -> None:
        """Starts to write a checkpoint; returns before it is on disk. Does nothing twice."""
        if step == self.latest_step:
            return
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(_stored(state)), meta=ocp.args.JsonSave(meta)
        )
        self._manager.save(step, args=args, metrics=None if score is None else {"score": score})

    def restore(self, step: int, target: Any) -> Any:
        """The state of one checkpoint, laid out as `target` (shapes with shardings) asks.

        Raises:
            UserError: its files are damaged.
        """
        args = ocp.args.Composite(state=ocp.args.StandardRestore(_stored(target)))
        try:
            state = read_quietly(lambda: self._manager.restore(step, args=args)["state"])
        except DamageError as error:
            others = [other for other in self._manager.all_steps() if other != step]
            remedy = "it is the only one: train in another --workdir"
            if others:
                remedy = f"move that folder away to go on from step {max(others)}"
            raise UserError(
                f"The checkpoint {self._folder / str(step)} cannot be read ({error}); {remedy}."
            ) from error
        return target.replace(**state)

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def _stored(state: Any) -> dict[str, Any]:
    """The state's fields, without the balancer's memory where it has none.

    So most checkpoints are as they were before balancers had memories, and old ones still restore.
    """
    fields = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    if not fields["balance"]:
        del fields["balance"]
    return fields


def _check_scores(folder: Path) -> None:
    """Raises a UserError if the score of a checkpoint is not JSON; orbax would not say whose."""
    for file in folder.glob("*/metrics/metrics"):
        step = file.parts[-3]
        if step.isdecimal():  # others are not finished, and deleted by orbax
            try:
                json.loads(file.read_text())
            except (OSError, ValueError) as error:
                raise UserError(
                    f"The score of a checkpoint, {file}, cannot be read ({error}); move the "
                    f"folder {folder / step} away to go on with the others."
                ) from error


def _score(metrics: Any) -> float:
    return metrics["score"]


def restore_variables(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Meta data and the network's variables of one checkpoint, without knowing its shapes.

    Args:
        folder: one numbered checkpoint.

    Returns:
        `meta`, and {"params", "batch_stats"} of NumPy arrays: the averaged parameters where kept.

    Raises:
        UserError: the folder is no checkpoint of this package, or is damaged.
    """
    if not (folder / "meta").is_dir() or not (folder / "state").is_dir():
        raise UserError(
            f"{folder} is no complete checkpoint of s2a_jax: expected the folders state/ and "
            "meta/ in it. Give a workdir, one of its checkpoints/<step>, or a .safetensors file."
        )
    try:
        return read_quietly(lambda: _read(folder))
    except DamageError as error:
        raise UserError(
            f"The checkpoint {folder} cannot be read ({error}), it is damaged or incomplete. Pass "
            f"{_others(folder)}."
        ) from error


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """As `restore_variables`, of files that are whole."""
    meta = json.loads((folder / "meta" / "metadata").read_text())
    with ocp.StandardCheckpointer() as checkpointer:
        metadata = checkpointer.metadata((folder / "state").absolute())
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        target = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            metadata.item_metadata.tree,
        )
        state = checkpointer.restore((folder / "state").absolute(), target)
    params = state.get("ema_params") or state["params"]
    return meta, jax.device_get({"params": params, "batch_stats": state["batch_stats"]})


def _others(folder: Path) -> str:
    """What may be passed instead of a damaged checkpoint."""
    home = folder.absolute().parent
    names = {path.name for path in home.iterdir()} - {folder.name}
    steps = sorted((name for name in names if name.isdecimal()), key=int)
    if steps:
        return f"another one, {' or '.join(str(home / step) for step in steps)}"
    return "another checkpoints/<step>, or the weights.safetensors of a finished run"
