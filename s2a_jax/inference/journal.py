"""What a command on many images has finished, so that the same command can resume.

A journal is a file of JSON lines in the folder of the results: first the settings that results
depend on, then a line for every finished image with its files, its results' files and its row of
the table. An image counts as finished only while all of these files are as they were.
"""

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from s2a_jax.errors import UserError
from s2a_jax.files import alone, full_path, writing, written_whole
from s2a_jax.inputs.image_files import ImageFiles
from s2a_jax.inputs.notes import Note
from s2a_jax.inputs.result_files import journals_in

_PATIENCE = 5.0  # s; how long another process may hold a lock only to see whether it is free

Settings = Mapping[str, Any]
"""What the results of an image depend on: "version" of the package, "weights" (fingerprints of the
network and its weights), and the name of every flag that matters -> its value, as JSON has it."""


class Finished(NamedTuple):
    """A finished image.

    Attributes:
        id: of the image.
        read: `read_states` of its files, before they were read.
        written: name and `state_of` of each of its results.
        row: what the table of results needs, as JSON has it.
        notes: what reading and prediction had to change.
    """

    id: str
    read: list[list[Any]]
    written: list[list[Any]]
    row: dict[str, Any]
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


def read_states(files: ImageFiles, about: Sequence[Any] = ()) -> list[list[Any]]:
    """`Finished.read` of an image.

    Args:
        files: of the image.
        about: what else its results depend on and no other image's do, as JSON has it.

    Raises:
        OSError: a file is missing.
    """
    states = [[str(full_path(path)), *state_of(path)] for path in files.images]
    return [*states, [*about]] if about else states


def written_states(paths: Iterable[Path]) -> list[list[Any]]:
    """`Finished.written` of an image with these results.

    Raises:
        OSError: a file is missing.
    """
    return [[path.name, *state_of(path)] for path in paths]


class Journal:
    """The journal of one process in a folder of results.

    Args:
        folder: value of --out.
        name: of the table of results, and of the journal, without extension.
        settings: those of this command.
        shard: which of several processes this is.
    """

    def __init__(self, folder: Path, name: str, settings: Settings, shard: Shard):
        self._folder, self._name, self._settings, self._shard = folder, name, settings, shard
        self._path = folder / f"{name}{shard.suffix}.jsonl"
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

    def finished(
        self, images: Iterable[ImageFiles], about: Mapping[str, Sequence[Any]] | None = None
    ) -> dict[str, Finished]:
        """The images that any process has finished, by id.

        Args:
            images: the images.
            about: id -> as for `read_states`.

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
            for row in found[files.id]:
                with contextlib.suppress(OSError):  # a file is missing
                    paths = (self._folder / name for name, *_ in row.written)
                    states = read_states(files, (about or {}).get(files.id, ()))
                    if (row.read, row.written) == (states, written_states(paths)):
                        done[row.id] = row
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
                    partial.write_text(json.dumps(self._settings) + "\n")
                try:
                    for path in self._journals():  # of a process that began at the same moment
                        _check_settings(path, self._settings)
                except UserError as error:
                    self._path.unlink()  # nothing is in it yet, and it would block the other's
                    self._refusal = error
                    raise
            notes = [(str(note.path), note.text) for note in row.notes]
            with writing(self._path):
                _append(self._path, json.dumps(row._asdict() | {"notes": notes}))

    def _journals(self) -> list[Path]:
        return journals_in(self._folder, self._name)


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
        theirs = dict(json.loads(head))
        is_of_today = theirs["version"] == settings["version"]
        if is_of_today and theirs.keys() != settings.keys():
            raise ValueError(f"expected the settings {', '.join(settings)}")
    if theirs == settings:
        return rest
    raise UserError(
        f"--out={path.parent} holds results that were made {_difference(theirs, settings)}; give "
        "another folder, or delete this one."
    )


def _difference(theirs: Settings, mine: Settings) -> str:
    """How results of these settings differ from those of mine, in words."""
    name = next(name for name in mine if mine[name] != theirs.get(name))
    value, wanted = theirs.get(name), mine[name]
    if name == "version":
        return f"by version {value} of s2a-jax, not {wanted}"
    if name == "weights":
        return "by other weights"
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return f"{'with' if value else 'without'} {flag}"
    if value is None:
        return f"without {flag}, not with {wanted}"
    return f"with {flag}={value}, not {'without' if wanted is None else wanted}"


def _rows(path: Path, settings: Settings) -> Iterator[Finished]:
    for number, line in enumerate(_check_settings(path, settings), 2):
        with _damage(path, number):
            values = json.loads(line)
            notes = tuple(Note(Path(about), text) for about, text in values["notes"])
            row = Finished(**values | {"notes": notes})
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
