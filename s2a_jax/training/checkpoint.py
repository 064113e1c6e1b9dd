"""Checkpoints with orbax: written in the background; the latest and the best are kept.

This is the only file that knows orbax, whose v0 `CheckpointManager` goes away with orbax 1.0.
"""

import glob
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
import tensorstore as ts
from flax.traverse_util import unflatten_dict
from orbax.checkpoint.checkpoint_managers import preservation_policy

from s2a_jax import processes
from s2a_jax.errors import UserError
from s2a_jax.files import full_path
from s2a_jax.training.state import TrainState

# Orbax warns about a state that is saved without a score, which is normal here.
_IDLE = "Requested `tracked_metric`"
logging.getLogger("absl").addFilter(lambda record: not str(record.msg).startswith(_IDLE))


CHOICES = ("best", "last")
"""Values of `config.eval.choose`."""


class Checkpoints:
    """Numbered checkpoints below one folder.

    Each holds `state` (the arrays), `meta` (a JSON object that describes the network) and, if it
    was validated, its score.

    Raises:
        UserError: a score cannot be read.
    """

    def __init__(self, folder: Path):
        self.folder = full_path(folder)
        _check_scores(self.folder)
        self._link = _Link(self.folder)
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
            self._link.path, options=options, item_names=("state", "meta")
        )

    @property
    def latest_step(self) -> int | None:
        """Step of the newest checkpoint."""
        return self._manager.latest_step()

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and score of the best validated checkpoint."""
        self._manager.wait_until_finished()  # the score is read back from disk
        step = self._manager.best_step()
        metrics = None if step is None else self._manager.metrics(step)
        return None if metrics is None else (step, metrics["score"])

    def chosen(self, choose: str) -> int | None:
        """Step of the checkpoint to evaluate and to ship, one of `CHOICES`; None without any.

        Without a validated one it is the newest.
        """
        best = self.best
        return self.latest_step if choose == "last" or best is None else best[0]

    def save(self, step: int, state: TrainState, meta: dict[str, Any], score: float | None) -> None:
        """Starts to write a checkpoint and returns before it is on disk.

        A step that is saved already is not saved again.
        """
        if step == self.latest_step:
            return
        args = ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta))
        self._manager.save(step, args=args, metrics=None if score is None else {"score": score})

    def restore(self, step: int, abstract: TrainState) -> TrainState:
        """Reads the state of one checkpoint.

        Args:
            step: number of the checkpoint.
            abstract: shapes, types and shardings of the state.

        Raises:
            UserError: the checkpoint's files are damaged or cannot be read.
        """
        self._manager.wait_until_finished()  # it may still be being written
        folder = self.folder / str(step)
        try:
            for array in _open_arrays(folder / "state").values():
                array.read().result()  # finds damage before orbax does
        except (OSError, ValueError) as error:
            others = [other for other in self._manager.all_steps() if other != step]
            remedy = "it is the only one: train in another --workdir"
            if others:
                remedy = f"move that folder away to resume from step {max(others)}"
            raise UserError(
                f"The checkpoint {folder} cannot be read ({_damage(error)}); {remedy}."
            ) from error
        args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        return self._manager.restore(step, args=args)["state"]

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()
        self._link.remove()


class _Link:
    """A path to a folder that orbax does not mistake for a pattern.

    Orbax searches its folders with `glob`, to which `[small]` in their path means one letter: it
    would find nothing and leave every checkpoint without its arrays. Such a folder gets a symbolic
    link in the folder for temporary files.

    Attributes:
        path: the folder itself, or the link.
    """

    def __init__(self, folder: Path):
        self.path, self._home = folder, None
        if glob.escape(str(folder)) == str(folder):
            return
        if processes.count() > 1:  # they need one path, and each would have a link of its own
            raise UserError(
                f"--workdir: the path {folder} holds one of the characters [ * ?, which several "
                "processes cannot write to; give another folder."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._home = tempfile.TemporaryDirectory(prefix="s2a_jax-")
            self.path = Path(self._home.name) / folder.name
            self.path.symlink_to(folder, target_is_directory=True)
        except OSError as error:
            raise UserError(
                f"--workdir: checkpoints cannot be written below {folder}, whose path holds one of "
                f"the characters [ * ?, without a symbolic link ({error}); give another folder."
            ) from error

    def remove(self) -> None:
        """Removes the link."""
        if self._home is not None:
            self._home.cleanup()


def restore_variables(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads the network's variables of one checkpoint without knowing their shapes.

    Args:
        folder: one numbered checkpoint.

    Returns:
        `meta`, and {"params", "batch_stats"} of NumPy arrays; the parameters are the averaged ones
        if the run kept an average.

    Raises:
        UserError: the folder is no checkpoint of this package, or is damaged.
    """
    if not (folder / "meta").is_dir() or not (folder / "state").is_dir():
        raise UserError(
            f"{folder} is no complete checkpoint of s2a_jax: expected the folders state/ and "
            "meta/ in it. Give a workdir, one of its checkpoints/<step>, or a .safetensors file."
        )
    try:
        return _read_variables(full_path(folder))
    except (OSError, ValueError) as error:
        raise UserError(
            f"The checkpoint {folder} cannot be read ({_damage(error)}), it is damaged or "
            f"incomplete. Pass {_others(folder)}."
        ) from error


def _read_variables(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Does the work of `restore_variables`; raises OSError or ValueError for a damaged file."""
    meta = json.loads((folder / "meta" / "metadata").read_text())
    arrays = _open_arrays(folder / "state")
    tree = unflatten_dict(
        {
            name: array.read().result()
            for name, array in arrays.items()
            if name.startswith(("params.", "ema_params.", "batch_stats."))
        },
        sep=".",
    )
    if "params" not in tree:
        raise ValueError("it holds no parameters of a network")
    params = tree.get("ema_params", tree["params"])
    return meta, {"params": params, "batch_stats": tree.get("batch_stats", {})}


def _open_arrays(folder: Path) -> dict[str, ts.TensorStore]:
    """Opens the arrays of a state one after the other, to be read one after the other.

    Orbax reads all arrays at once, and when one fails, the reads under way print tracebacks from
    threads of their own, where nobody can catch them.

    Args:
        folder: the folder `state` of a checkpoint.

    Returns:
        Name, such as `params.encoder.conv.kernel`, -> array.

    Raises:
        OSError, ValueError: a file is damaged, missing or cannot be read; reading an array may
            raise a ValueError as well.
    """
    json.loads((folder / "_METADATA").read_text())
    database = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder}/"}}
    keys = [key.decode() for key in ts.KvStore.open(database).result().list().result()]
    names = [key.removesuffix("/.zarray") for key in keys if key.endswith("/.zarray")]
    if not names:
        raise ValueError("it holds no arrays")
    return {
        name: ts.open({"driver": "zarr", "kvstore": database | {"path": f"{name}/"}}).result()
        for name in names
    }


def _damage(error: OSError | ValueError) -> str:
    """One line about a damaged file.

    Raises:
        UserError: the file may not be read.
        ValueError: `error` itself, if the machine lacks memory.
    """
    text = str(error)
    line = (text.strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, PermissionError) or "PERMISSION_DENIED" in text:
        raise UserError(f"A checkpoint may not be read: {line}.") from error
    if "RESOURCE_EXHAUSTED" in text:
        raise error
    return line[:200]


def _others(folder: Path) -> str:
    """What a user may pass instead of a damaged checkpoint."""
    home = full_path(folder).parent
    names = {path.name for path in home.iterdir()} - {folder.name}
    steps = sorted((name for name in names if name.isdecimal()), key=int)
    if steps:
        return f"another one, {' or '.join(str(home / step) for step in steps)}"
    return "another checkpoints/<step>, or the weights.safetensors of a finished run"


def _check_scores(folder: Path) -> None:
    """Raises a UserError if a checkpoint's score is not JSON; orbax would not name the file."""
    for file in folder.glob("*/metrics/metrics"):
        step = file.parts[-3]
        if step.isdecimal():  # orbax deletes unfinished checkpoints, which have other names
            try:
                json.loads(file.read_text())
            except (OSError, ValueError) as error:
                raise UserError(
                    f"The score of a checkpoint, {file}, cannot be read ({error}); move the "
                    f"folder {folder / step} away to continue with the others."
                ) from error


def _score(metrics: Any) -> float:
    return metrics["score"]
