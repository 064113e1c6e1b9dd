"""Checkpoints with orbax: written in the background, the latest and the best are kept.

This is the one file that knows orbax; its v0 `CheckpointManager` goes with orbax 1.0.
"""

import contextlib
import dataclasses
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from s2a_jax.errors import UserError


class Checkpoints:
    """Numbered checkpoints below one folder; a UserError where their scores are damaged.

    Each holds `state` (the arrays) and `meta` (JSON: the run's configuration and more), and the
    score of the validation that it was saved with, if there was one.
    """

    def __init__(self, folder: Path):
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
        try:
            self._manager = ocp.CheckpointManager(
                folder.absolute(), options=options, item_names=("state", "meta")
            )
        except ValueError as error:
            raise UserError(
                f"The scores of the checkpoints in {folder} cannot be read, so the best one is not "
                f"known; delete the damaged <step>/metrics, or pass one {folder}/<step> as weights."
            ) from error

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
        """The state of one checkpoint, laid out as `target` (shapes with shardings) asks."""
        args = ocp.args.Composite(state=ocp.args.StandardRestore(_stored(target)))
        return target.replace(**self._manager.restore(step, args=args)["state"])

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
        meta = json.loads((folder / "meta" / "metadata").read_text())
        with _without_logs(), ocp.StandardCheckpointer() as checkpointer:
            metadata = checkpointer.metadata((folder / "state").absolute())
            sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
            target = jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
                metadata.item_metadata.tree,
            )
            state = checkpointer.restore((folder / "state").absolute(), target)
        params = state.get("ema_params") or state["params"]
        variables = {"params": params, "batch_stats": state["batch_stats"]}
    except Exception as error:  # damaged files make orbax raise almost anything
        raise UserError(
            f"The checkpoint {folder} cannot be read, it is damaged or incomplete. Pass "
            f"{_others(folder)}."
        ) from error
    return meta, jax.device_get(variables)


@contextlib.contextmanager
def _without_logs() -> Iterator[None]:
    """Orbax warns of a file that a part of a checkpoint never has, and lists damaged arrays."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _others(folder: Path) -> str:
    """What may be passed instead of a damaged checkpoint."""
    home = folder.absolute().parent
    names = {path.name for path in home.iterdir()} - {folder.name}
    steps = sorted((name for name in names if name.isdecimal()), key=int)
    if steps:
        return f"another one, {' or '.join(str(home / step) for step in steps)}"
    return "another checkpoints/<step>, or the weights.safetensors of a finished run"
