"""Checkpoints with orbax: written in the background; the latest and the best are kept.

This is the only file that knows orbax, whose v0 `CheckpointManager` goes away with orbax 1.0. What
it prints is the business of `orbax_output`.
"""

import contextlib
import glob
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
import tensorstore as ts
from flax.traverse_util import unflatten_dict
from orbax.checkpoint.checkpoint_managers import preservation_policy

from s2a_jax import processes
from s2a_jax.convert.weights import FORMAT, check_format
from s2a_jax.errors import UserError
from s2a_jax.files import full_disk, full_path, is_full
from s2a_jax.training import orbax_output, sealed
from s2a_jax.training.state import TrainState

orbax_output.silence()


CHOICES = ("best", "last")
"""Values of `config.eval.choose`."""


class Checkpoints:
    """Numbered checkpoints below one folder, for the only run that writes to it.

    Each holds `state` (the arrays), `meta` (a JSON object that describes the network), if it was
    validated its score, and the checksums of all its files.

    Args:
        folder: where they are. Unfinished ones are removed, damaged ones set aside.
        warn: called with a sentence about each damaged one, and one about those that are left.

    Raises:
        UserError: a checkpoint may not be read, or is of another format.
    """

    def __init__(self, folder: Path, warn: Callable[[str], object]):
        self.folder, self._warn = full_path(folder), warn
        self._tidy(sealed.remove_unfinished)
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
            best_fn=_score,
            best_mode="max",
            preservation_policy=policy,
            temporary_path_class=_SealedPath,
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
        self._wait()  # the score is read back from disk
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

        Raises:
            FullDiskError: there is no room for it, or for the one before.
        """
        if step == self.latest_step:
            return
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave({"format": FORMAT} | meta)
        )
        with self._room():
            self._manager.save(step, args=args, metrics=None if score is None else {"score": score})

    def set_damaged_aside(self) -> None:
        """Checks all checkpoints again, as the constructor does.

        Raises:
            UserError: as the constructor.
        """
        self._wait()  # one may still be being written
        self._tidy()
        self._manager.reload()

    def restore(self, step: int, abstract: TrainState) -> TrainState:
        """Reads the state of one checkpoint.

        Args:
            step: number of the checkpoint.
            abstract: shapes, types and shardings of the state.

        Raises:
            FullDiskError: there was no room to write it.
        """
        self._wait()  # it may still be being written
        args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        return self._manager.restore(step, args=args)["state"]

    def close(self) -> None:
        """Waits until everything is on disk.

        Raises:
            FullDiskError: there is no room for it.
        """
        with contextlib.closing(self._link):
            self._wait()
            self._manager.close()

    def _tidy(self, first: Callable[[Path], object] = lambda _: None) -> None:
        """Sets damaged checkpoints aside, in the first process; all say so, and check the rest."""

        def work() -> list[str]:
            if not processes.is_first():
                return []
            first(self.folder)
            return [json.dumps(note) for note in sealed.set_damaged_aside(self.folder)]

        for note in processes.exchanged(work)[0]:
            self._warn(json.loads(note))
        for step in sealed.steps_in(self.folder):
            checkpoint = self.folder / str(step)
            check_format(json.loads((checkpoint / "meta/metadata").read_text()), checkpoint)

    def _wait(self) -> None:
        with self._room():
            self._manager.wait_until_finished()

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        """Turns the many errors of a full disk into one."""
        try:
            yield
        except Exception as error:  # orbax raises what its threads raised, of any type
            if not is_full(error):
                raise
            raise full_disk(self.folder) from error


class _SealedPath(ocp.path.atomicity.AtomicRenameTemporaryPath):
    """The folder of a checkpoint while it is written: it gets its checksums before its name."""

    async def finalize(self) -> None:
        """Called in the first process, once all processes have written their part."""
        final = self._final_path
        if not final.name.isdecimal():  # one of the folders within
            await super().finalize()
            return
        self._final_path = final.with_name(f"{self.get().name}.unsealed")
        try:
            await super().finalize()  # the last files are written here, before the folder is moved
            unsealed = Path(self._final_path)
        finally:
            self._final_path = final
        sealed.seal(unsealed)
        unsealed.rename(final)


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

    def close(self) -> None:
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
    if found := sealed.damage(folder):
        raise UserError(
            f"The checkpoint {folder} cannot be read ({found}), it is damaged or incomplete. Pass "
            f"{_others(folder)}."
        )
    try:
        return _read_variables(full_path(folder))
    except (OSError, ValueError) as error:  # a run may delete it meanwhile
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
    steps = [step for step in sealed.steps_in(home) if str(step) != folder.name]
    if steps:
        return f"another one, {' or '.join(str(home / str(step)) for step in steps)}"
    return "another checkpoints/<step>, or the weights.safetensors of a finished run"


def _score(metrics: Any) -> float:
    return metrics["score"]
