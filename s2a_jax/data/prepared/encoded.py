"""Encoded cases on disk, from which a stopped `prepare` resumes."""

import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import tensorflow_datasets as tfds

from s2a_jax.data.cases import Case
from s2a_jax.data.pairing import CaseFiles
from s2a_jax.data.prepared.builders import Encoded
from s2a_jax.data.prepared.load import case_of
from s2a_jax.errors import UserError
from s2a_jax.files import written_whole
from s2a_jax.inputs.names import file_name_of
from s2a_jax.inputs.notes import Note


class CannotKeepError(UserError):
    """The folder of encoded cases cannot be written, through no fault of any case."""


class EncodedCases:
    """Reads and encodes cases, and keeps each in a file for the next run.

    A file holds one line of JSON, then the case as the data set will hold it. It appears only when
    it is complete, and is reused only while the raw files keep their sizes and times.

    Attributes:
        reused: number of times that a file was reused.
    """

    def __init__(
        self,
        folder: Path,
        features: tfds.features.FeaturesDict,
        encode: Callable[[CaseFiles], Encoded],
    ):
        """The folder is made when the first case is kept."""
        self._folder, self._features, self._encode = folder, features, encode
        self.reused = 0

    def read(self, files: CaseFiles) -> Case:
        """Reads and encodes a case, and decodes it as training will; see `read_case`.

        Raises:
            CannotKeepError: the folder cannot be written.
            UserError: as `read_case`.
        """
        encoded = self.encode(files)
        case = case_of(self._features.deserialize_example_np(encoded.example))
        return case._replace(notes=encoded.notes)

    def encode(self, files: CaseFiles) -> Encoded:
        """The case as a serialized example; raises what `read` raises."""
        path = self._folder / files.split / f"{file_name_of(files.id)}.example"
        stamp = _stamp(files)
        encoded = _load(path, stamp)
        if encoded is not None:
            self.reused += 1
            return encoded
        encoded = self._encode(files)
        try:
            with written_whole(path) as partial:
                partial.write_bytes(_head(stamp, encoded) + encoded.example)
        except UserError as error:
            raise CannotKeepError(
                f"--to: cannot write below {self._folder}: {error.__cause__}; make room, or give "
                "another folder."
            ) from error
        return encoded


def _load(path: Path, stamp: str) -> Encoded | None:
    """The case in a file; None if it is missing, damaged, or made from other raw files."""
    try:
        head, newline, example = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    try:
        notes = tuple(Note(Path(file), text) for file, text in json.loads(head)[2])
    except (ValueError, LookupError, TypeError):
        return None
    encoded = Encoded(example, notes)
    return encoded if head + newline == _head(stamp, encoded) else None


def _head(stamp: str, encoded: Encoded) -> bytes:
    digest = blake2b(encoded.example, digest_size=16).hexdigest()
    notes = [[str(note.path), note.text] for note in encoded.notes]
    return json.dumps([digest, stamp, notes]).encode() + b"\n"


def _stamp(files: CaseFiles) -> str:
    """Names, sizes and times of a case's files, and the threshold of its masks."""
    stats = [path and _stat(path) for path in files.paths]
    return json.dumps([stats, files.threshold])


def _stat(path: Path) -> tuple[str, int, int]:
    try:
        stat = path.stat()
    except OSError as error:  # such as a dangling link
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    return str(path), stat.st_size, stat.st_mtime_ns
