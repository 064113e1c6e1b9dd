"""The folder of a run: its files, its lock, and the configuration that it belongs to."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from s2a_jax.config.values import flatten, from_json, to_json
from s2a_jax.errors import UserError
from s2a_jax.files import alone, full_path, written_whole
from s2a_jax.runs.files import read_object

_MAY_CHANGE = (
    "data.root", "data.synthetic.root", "data.incomplete", "data.accept_changes", "data.cache_gib",
    "eval.", "log.", "mesh.",
)  # fmt: skip
"""Beginnings of the fields that may change when a run resumes: they do not change its weights."""

_STATED_PITCH = "eval.um_per_px"
"""The field below `eval.` that a resumed run keeps: the pitches that its weights name follow."""

_VARIANT = "model.variant"


class Workdir:
    """Paths in the folder of one run.

    Args:
        path: the folder; it need not exist yet.

    Raises:
        UserError: `path` is a file.
    """

    def __init__(self, path: str | Path):
        self.path = full_path(path)
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"--workdir={path} is a file; give a folder.")
        self.config = self.path / "config.json"
        self.defaults = self.path / "defaults.json"
        self.data = self.path / "data.json"
        self.checkpoints = self.path / "checkpoints"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.jsonl"
        self.events = self.path / "tensorboard"
        self.overlays = self.path / "overlays"
        self.profile = self.path / "profile"
        self.results = self.path / "results"
        self.weights = self.path / "weights.safetensors"

    def load_config(self) -> ConfigDict:
        """Reads the configuration that the run was started with.

        Raises:
            UserError: there is no run here, or its config.json is damaged.
        """
        if not self.config.is_file():
            raise UserError(f"No run in {self.path}: it has no config.json. Train one first.")
        try:
            return from_json(read_object(self.config))
        except ValueError as error:
            raise UserError(
                f"The run's configuration {self.config} cannot be used: it {error}; put back a "
                "copy of it, or train in another --workdir."
            ) from error

    def value(self, field: str, default: Any = None) -> Any:
        """The value of a field of the run's configuration; `default` if it has no such field.

        Args:
            field: such as `data.folds`.
            default: what stands for a field that the configuration lacks.

        Raises:
            UserError: as `load_config`.
        """
        return flatten(self.load_config()).get(field, default)

    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        steps = self.checkpoints.iterdir() if self.checkpoints.is_dir() else ()
        return any(step.name.isdecimal() for step in steps)  # unfinished ones have other names

    def alone(self) -> AbstractContextManager[None]:
        """Makes the folder and keeps every other run out of it while this one writes to it.

        Raises:
            UserError: a run is at work here, or the folder cannot be written to.
        """
        return alone(self.path / ".lock", f"--workdir={self.path}")

    def claim(self, config: ConfigDict, defaults: ConfigDict) -> bool:
        """Writes the configuration, or checks that the run here has the same one.

        Args:
            config: a resolved configuration.
            defaults: the configuration of this network and variant with nothing else chosen; the
                report shows how `config` differs from it.

        Returns:
            True if a run to resume exists.

        Raises:
            UserError: `check` refuses the configuration; the run's checkpoints are gone while its
                results or weights are there, which another run would overwrite; or the folder
                cannot be written to.
        """
        if self.is_taken():
            self.check(config)
            if not self.has_checkpoint():
                raise UserError(
                    f"{self.path} holds results or weights of a run, but none of its checkpoints "
                    "to resume from; give another --workdir, or move those away."
                )
            return True
        for path, content in ((self.defaults, defaults), (self.config, config)):
            values = to_json(content)
            values["data"]["accept_changes"] = False  # never stored: applies to one command
            with written_whole(path) as partial:
                partial.write_text(json.dumps(values, indent=2) + "\n")
        return False

    def check(self, config: ConfigDict, *, trains: bool = True) -> None:
        """Checks that `config` may continue the run here.

        A run that ended before it saved anything does not count: any configuration may start anew.

        Args:
            config: a resolved configuration.
            trains: whether the run goes on; False: it is evaluated, perhaps with another pitch.

        Raises:
            UserError: the run was started with another configuration, or its own cannot be read.
        """
        if not self.is_taken():
            return
        theirs, ours = flatten(to_json(self.load_config())), flatten(to_json(config))
        # The variant first: its recipe changes other fields.
        for field in sorted(theirs.keys() | ours.keys(), key=lambda one: (one != _VARIANT, one)):
            may_change = field.startswith(_MAY_CHANGE) and not (trains and field == _STATED_PITCH)
            if theirs.get(field) != ours.get(field) and not may_change:
                raise UserError(
                    f"{self.path} holds a run with config.{field}={theirs.get(field)!r}, not "
                    f"{ours.get(field)!r}; give another --workdir, or that run's configuration."
                )

    def is_taken(self) -> bool:
        """Whether a run left a checkpoint, results or weights here.

        Users may delete the checkpoints of a finished run and keep its weights.
        """
        has_output = self.weights.exists() or self.results.exists() or self.has_checkpoint()
        return has_output and self.config.is_file()
