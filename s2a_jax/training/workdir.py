"""The folder of a run: what lies where in it, and whether a configuration belongs to it."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from ml_collections import ConfigDict

from s2a_jax.errors import UserError

_MAY_CHANGE = ("data.root", "data.synthetic.root", "data.incomplete", "eval.", "log.", "mesh.")
"""Fields that a resumed run may have otherwise: they do not change what it computes."""


class Workdir:
    """Paths below one run's folder.

    Args:
        path: the folder; it need not exist yet.
        defaults: gives a run of an older version the fields that it did not have.
    """

    def __init__(self, path: str | Path, defaults: ConfigDict | None = None):
        self._defaults = {} if defaults is None else to_json(defaults)
        self.path = Path(path).expanduser().absolute()
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"--workdir={path} is a file; give a folder.")
        self.config = self.path / "config.json"
        self.checkpoints = self.path / "checkpoints"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.jsonl"
        self.events = self.path / "tensorboard"
        self.overlays = self.path / "overlays"
        self.results = self.path / "results"
        self.weights = self.path / "weights.safetensors"

    def load_config(self) -> ConfigDict:
        """The configuration that the run was started with.

        Raises:
            UserError: there is no run here, or its config.json is damaged.
        """
        if not self.config.is_file():
            raise UserError(f"No run in {self.path}: it has no config.json. Train one first.")
        try:
            values = json.loads(self.config.read_text())
            return from_json(_filled(values, self._defaults))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"The run's configuration {self.config} cannot be read ({error}); put back a copy "
                "of it, or train in another --workdir."
            ) from error

    def has_checkpoint(self) -> bool:
        """Whether a run has saved anything to go on from."""
        steps = self.checkpoints.iterdir() if self.checkpoints.is_dir() else ()
        return any(step.name.isdecimal() for step in steps)  # unfinished ones have other names

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps every other run out of the folder, which is made, as long as this one writes to it.

        The operating system frees the lock, `.lock`, when its process ends, in whatever way; only
        on a file system without locks the file of a killed run stays.

        Raises:
            UserError: a run is at work here, or the folder cannot be written to.
        """
        lock = FileLock(self.path / ".lock")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"Another run is at work in --workdir={self.path}; wait until it has ended, or "
                f"give another folder. (If none is, delete {lock.lock_file}.)"
            ) from error
        except OSError as error:
            raise UserError(f"Cannot write to --workdir={self.path}: {error}.") from error
        try:
            yield
        finally:
            lock.release()

    def claim(self, config: ConfigDict) -> None:
        """Writes the configuration, or checks that the run here has the same.

        Raises:
            UserError: as `check`; the run's checkpoints are gone but not what was made of them,
                which another run would overwrite; or the folder cannot be written to.
        """
        if self._is_taken():
            self.check(config)
            if not self.has_checkpoint():
                raise UserError(
                    f"{self.path} holds results or weights of a run, but none of its checkpoints "
                    "to go on from; give another --workdir, or move those away."
                )
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            partial = self.config.with_suffix(".partial")
            partial.write_text(json.dumps(to_json(config), indent=2) + "\n")
            partial.replace(self.config)
        except OSError as error:
            raise UserError(f"Cannot write to --workdir={self.path}: {error}.") from error

    def check(self, config: ConfigDict) -> None:
        """Checks that `config` may go on with the run here.

        A run that ended before it saved anything does not count: any configuration may start anew.

        Raises:
            UserError: the run was started with another configuration, or its own cannot be read.
        """
        if not self._is_taken():
            return
        theirs, ours = _flat(to_json(self.load_config())), _flat(to_json(config))
        for field in sorted(theirs.keys() | ours.keys()):
            if theirs.get(field) != ours.get(field) and not field.startswith(_MAY_CHANGE):
                raise UserError(
                    f"{self.path} holds a run with config.{field}={theirs.get(field)!r}, not "
                    f"{ours.get(field)!r}; give another --workdir, or that run's configuration."
                )

    def _is_taken(self) -> bool:
        """Whether something here belongs to a configuration: a checkpoint, or what is made of one.

        Who keeps the weights may have deleted the checkpoints.
        """
        made = self.weights.exists() or self.results.exists() or self.has_checkpoint()
        return made and self.config.is_file()


def to_json(config: ConfigDict) -> dict[str, Any]:
    """The configuration as JSON values: tuples become lists."""
    return json.loads(json.dumps(config.to_dict()))


def from_json(values: dict[str, Any]) -> ConfigDict:
    """The configuration that `to_json` made these values of."""
    return ConfigDict(_with_tuples(values))


def _filled(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """`values`, and of `defaults` what they lack."""
    filled = defaults | values
    for name, default in defaults.items():
        if isinstance(default, dict) and isinstance(filled[name], dict):
            filled[name] = _filled(filled[name], default)
    return filled


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_tuples(item) for name, item in value.items()}
    return tuple(value) if isinstance(value, list) else value
