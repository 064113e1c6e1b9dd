"""What a prediction has finished, so that the same command can resume.

A journal is a file of JSON lines in the folder of the results: first the settings that results
depend on, then a line for every finished image with its files, its results' files and its numbers.
An image counts as finished only while all of these files are as they were.
"""

import contextlib
import json
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from s2a_jax.convert.weights import TASKS
from s2a_jax.errors import UserError
from s2a_jax.files import alone, full_path, written_whole
from s2a_jax.inputs.image_files import PREDICTED, ImageFiles
from s2a_jax.inputs.notes import Note

_PATIENCE = 5.0  # s; how long another process may hold a lock only to see whether it is free


class Settings(NamedTuple):
    """What the results of an image depend on.

    Attributes:
        weights: fingerprint of the network and its weights.
        threshold: of both masks, in [0, 1].
        version: the package's.
        um_per_px: value of --um-per-px; None without it.
        field_mm: value of --field-mm; None without it.
        tta: whether --tta is given.
    """

    weights: str
    threshold: float
    version: str
    um_per_px: float | None = None
    field_mm: float | None = None
    tta: bool = False

    def difference(self, other: "Settings") -> str:
        """How results of these settings differ from those of others, in words."""
        if self.version != other.version:
            return f"by version {self.version} of s2a-jax, not {other.version}"
        if self.weights != other.weights:
            return "by other weights"
        for name, mine, theirs in zip(self._fields, self, other, strict=True):
            if mine != theirs:
                flag = f"--{name.replace('_', '-')}"
                if isinstance(mine, bool):
                    return f"{'with' if mine else 'without'} {flag}"
                if mine is None:
                    return f"without {flag}, not with {theirs}"
                return f"with {flag}={mine}, not {'without' if theirs is None else theirs}"
        raise ValueError("the settings are equal")


class Finished(NamedTuple):
    """A finished image.

    Attributes:
        id: its name in the results.
        read: path and `state_of` of its files, before they were read.
        written: `state_of` of its results.
        size: height and width in pixels.
        rv: number of vessel pixels; None if the network was not trained on vessels.
        faz: the same for the FAZ.
        notes: what reading had to change.
    """

    id: str
    read: list[list[Any]]
    written: list[list[Any]]
    size: tuple[int, int]
    rv: int | None
    faz: int | None
    notes: tuple[Note, ...]


class Shard(NamedTuple):
    """One of several processes that share the images of a command.

    Attributes:
        index: which one, from 0.
        count: their number.
    """

    index: int
    count: int

    @property
    def suffix(self) -> str:
        """What distinguishes its files; "" if it is the only one."""
        return f"-{self.index}-of-{self.count}" if self.count > 1 else ""

    def slice(self, images: Sequence[ImageFiles]) -> Sequence[ImageFiles]:
        """Its images, which are neighbours: all tables in order are the table of all images."""
        first, last = (len(images) * i // self.count for i in (self.index, self.index + 1))
        return images[first:last]


def state_of(path: Path) -> list[int]:
    """Bytes and time of change of a file, which show whether it is as it was.

    Raises:
        OSError: there is no such file.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def read_states(files: ImageFiles) -> list[list[Any]]:
    """`Finished.read` of an image.

    Raises:
        OSError: a file is missing.
    """
    return [[str(full_path(path)), *state_of(path)] for path in files.images]


def result_paths(folder: Path, id_: str, tasks: Collection[str]) -> list[Path]:
    """The pictures of one image: the masks of these tasks, and the overlay."""
    left_out = {*TASKS} - {*tasks}
    return [folder / f"{id_}_{name}.png" for name in PREDICTED if name not in left_out]


class Journal:
    """The journal of one process in a folder of results.

    Args:
        folder: value of --out.
        settings: those of this command.
        shard: which of several processes this is.
        tasks: those of the network.
    """

    def __init__(
        self, folder: Path, settings: Settings, shard: Shard, tasks: Collection[str] = TASKS
    ):
        self._folder, self._settings, self._shard = folder, settings, shard
        self._tasks = tasks
        self._path = folder / f"predictions{shard.suffix}.jsonl"
        self._adding = threading.Lock()
        self._refusal: UserError | None = None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Makes the folder, and keeps out of it whoever may write the same files.

        A folder in which nothing was written is removed.

        Raises:
            UserError: such a process is at work, or the folder cannot be written to.
        """
        place, lock = f"--out={self._folder}", self._folder / f".lock{self._shard.suffix}"
        is_new = not self._folder.exists()
        with alone(lock, place):
            for other in sorted(self._folder.glob(".lock*")):
                if not other.name.endswith(f"-of-{self._shard.count}") and other != lock:
                    # Those who split the images in another way; or another process of this
                    # command, which tries the same lock at this moment.
                    with alone(other, place, wait=_PATIENCE):
                        pass
            try:
                yield
            finally:
                if is_new and [path.name for path in self._folder.iterdir()] == [lock.name]:
                    with contextlib.suppress(OSError):  # another process has just begun
                        lock.unlink()
                        self._folder.rmdir()

    def finished(self, images: Iterable[ImageFiles]) -> dict[str, Finished]:
        """The images that any process has finished, by id.

        Raises:
            UserError: results here have other settings, or a journal is damaged.
        """
        found: dict[str, list[Finished]] = {files.id: [] for files in images}
        for path in self._journals():
            for row in _rows(path, self._settings):
                if row.id in found:
                    found[row.id].append(row)
        done = {}
        for files in images:
            with contextlib.suppress(OSError):  # a file is missing
                if rows := found[files.id]:
                    written = [*map(state_of, result_paths(self._folder, files.id, self._tasks))]
                    states = read_states(files), written
                    done |= {row.id: row for row in rows if (row.read, row.written) == states}
        return done

    def add(self, row: Finished) -> None:
        """Adds an image whose results are complete; threads may call this.

        Raises:
            UserError: the journal cannot be written, or another process has other settings.
        """
        with self._adding:
            if self._refusal:
                raise self._refusal
            if not self._path.exists():
                with written_whole(self._path) as partial:
                    partial.write_text(json.dumps(self._settings._asdict()) + "\n")
                try:
                    for path in self._journals():  # of a process that began at the same moment
                        _check_settings(path, self._settings)
                except UserError as error:
                    self._path.unlink()  # nothing is in it yet, and it would block the other's
                    self._refusal = error
                    raise
            try:
                _append(self._path, json.dumps(row._asdict(), default=str))
            except OSError as error:
                raise UserError(f"Cannot write {self._path}: {error}.") from error

    def _journals(self) -> list[Path]:
        return sorted(self._folder.glob("predictions*.jsonl"))


def _append(path: Path, line: str) -> None:
    with path.open("rb+") as file:
        if file.seek(-1, os.SEEK_END) and file.read() != b"\n":  # a process was killed here
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.seek(0, os.SEEK_END)
        file.write(line.encode() + b"\n")


def _lines(path: Path) -> list[str]:
    """The complete lines: a process may be at work on the last one, or was killed there."""
    return path.read_bytes().decode(errors="replace").split("\n")[:-1]


def _check_settings(path: Path, settings: Settings) -> list[str]:
    """The lines after the settings, which must be these."""
    head, *rest = _lines(path) or [""]
    with _damage(path, 1):
        theirs = Settings(**json.loads(head))
    if theirs == settings:
        return rest
    raise UserError(
        f"--out={path.parent} holds masks that were predicted {theirs.difference(settings)}; give "
        "another folder, or delete this one."
    )


def _rows(path: Path, settings: Settings) -> Iterator[Finished]:
    for number, line in enumerate(_check_settings(path, settings), 2):
        with _damage(path, number):
            values = json.loads(line)
            notes = tuple(Note(Path(about), text) for about, text in values["notes"])
            row = Finished(**values | {"size": tuple(values["size"]), "notes": notes})
        yield row


@contextlib.contextmanager
def _damage(path: Path, number: int) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: line {number} is damaged ({error}); delete this file, and its images are "
            "computed again."
        ) from error
