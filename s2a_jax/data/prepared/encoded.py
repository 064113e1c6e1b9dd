"""Encoded cases on disk: what a stopped `prepare` goes on from."""

import json
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import tensorflow_datasets as tfds

from s2a_jax.data.cases import Case
from s2a_jax.data.pairing import CaseFiles
from s2a_jax.data.prepared.load import case_of
from s2a_jax.errors import UserError


class CannotKeepError(UserError):
    """The folder of encoded cases cannot be written: no fault of any case."""


class EncodedCases:
    """Reads and encodes cases, and keeps each in a file that is taken the next time.

    A file holds one line of JSON and the case as the data set will hold it. It appears only when it
    is complete, and is taken only while the raw files have the sizes and times that they had when
    it was made.

    Attributes:
      reused: how often a file was taken.
    """

    def __init__(
        self,
        folder: Path,
        features: tfds.features.FeaturesDict,
        encode: Callable[[CaseFiles], bytes],
    ):
        """The folder is made when the first case is kept."""
        self._folder, self._features, self._encode = folder, features, encode
        self.reused = 0

    def read(self, files: CaseFiles) -> Case:
        """As `read_case`.

        Raises:
          CannotKeepError: the folder cannot be written.
          UserError: as `read_case`; also for values that 16 bits cannot hold.
        """
        return case_of(self._features.deserialize_example_np(self.encode(files)))

    def encode(self, files: CaseFiles) -> bytes:
        """The case as a serialized example; raises as `read`."""
        path = self._folder / files.split / f"{files.id}.example"
        stamp = _stamp(files)
        example = _load(path, stamp)
        if example is not None:
            self.reused += 1
            return example
        example = self._encode(files)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f".{os.getpid()}-{path.name}")
            unfinished.write_bytes(_head(stamp, example) + example)
            unfinished.replace(path)
        except OSError as error:
            raise CannotKeepError(
                f"--to: cannot write below {self._folder}: {error}; make room, or give another "
                "folder."
            ) from error
        return example


def _load(path: Path, stamp: str) -> bytes | None:
    """The example in a file; None if there is none, or it is damaged or of other raw files."""
    try:
        head, newline, example = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return example if head + newline == _head(stamp, example) else None


def _head(stamp: str, example: bytes) -> bytes:
    digest = blake2b(example, digest_size=16).hexdigest()
    return json.dumps([digest, stamp]).encode() + b"\n"


def _stamp(files: CaseFiles) -> str:
    """Names, sizes and times of a case's files, and how its masks are read."""
    paths = (files.image, *files.further, files.rv, files.faz, files.combined, files.classes)
    stats = [path and _stat(path) for path in paths]
    return json.dumps([stats, files.threshold])


def _stat(path: Path) -> tuple[str, int, int]:
    try:
        stat = path.stat()
    except OSError as error:  # a link to nothing, say
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    return str(path), stat.st_size, stat.st_mtime_ns
