"""Decoded cases on disk: what a stopped `prepare` goes on from."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np

from s2a_jax.data.builders import from_levels, to_levels
from s2a_jax.data.cases import Case, read_case
from s2a_jax.data.folders import CaseFiles
from s2a_jax.errors import UserError


class DecodedCases:
    """Reads cases and keeps each in a file, which later reads take instead of the raw ones.

    A file appears only when it is complete, and is taken only while the raw files have the sizes
    and times that they had when it was made.

    Attributes:
      reused: reads that took such a file.
    """

    def __init__(self, folder: Path):
        """The folder is made when the first case is kept."""
        self._folder = folder
        self.reused = 0

    def read(self, files: CaseFiles) -> Case:
        """As `read_case`.

        Raises:
          UserError: as `read_case`; also for values that 16 bits cannot hold, and for a folder that
            cannot be written.
        """
        path = self._folder / files.split / f"{files.id}.npz"
        stamp = _stamp(files)
        case = _load(path, stamp)
        if case is not None:
            self.reused += 1
            return case
        case = read_case(files)
        masks = {name: getattr(case, name) for name in ("rv", "faz")}
        arrays = {name: mask for name, mask in masks.items() if mask is not None}
        arrays["image"] = to_levels(case.image, files.image)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f".{os.getpid()}-{path.name}")
            np.savez(unfinished, stamp=np.array(stamp), **arrays)
            unfinished.replace(path)
        except OSError as error:
            raise UserError(f"Cannot write below {self._folder}: {error}.") from error
        return case


def _load(path: Path, stamp: str) -> Case | None:
    """The case in a file; None if there is none, or it is of other raw files."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["stamp"]) != stamp:
                return None
            image, rv, faz = (file.get(name) for name in ("image", "rv", "faz"))
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):  # none, or damaged
        return None
    return Case(from_levels(image), rv, faz, image.shape[:2])


def _stamp(files: CaseFiles) -> str:
    """Names, sizes and times of a case's files, and how its masks are read."""
    paths = (files.image, *files.further, files.rv, files.faz, files.combined)
    stats = [path and (str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return json.dumps([stats, files.threshold])
