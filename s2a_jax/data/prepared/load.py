"""Reads a prepared data set: TFDS data source -> cases."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf.json_format import ParseError

from s2a_jax.data.cases import Case, resized
from s2a_jax.data.entry import Pitch
from s2a_jax.data.prepared.builders import from_levels
from s2a_jax.data.rows import Read
from s2a_jax.data.sets import DATA_SETS
from s2a_jax.errors import UserError
from s2a_jax.files import full_path

# TFDS recommends OpenCV, which nothing stored here needs.
logging.getLogger("absl").addFilter(lambda record: "OpenCV is not installed" not in str(record.msg))

_INFO = "dataset_info.json"
_FEATURES = {"id", "image", "rv", "faz", "has_rv", "has_faz"}


def find_prepared(root: str | Path) -> Path:
    """The folder of the only prepared data set in a folder or below it.

    Raises:
        UserError: there is none, or there are several.
    """
    root = full_path(root)
    # An unfinished one lies in a folder called incomplete.<letters>_<version>.
    found = sorted(
        path.parent for path in root.rglob(_INFO) if not path.parent.name.startswith("incomplete")
    )
    if not found:
        raise UserError(
            f"config.data.root={root}: no prepared data set there; make one with "
            "`python -m s2a_jax prepare`."
        )
    if len(found) > 1:
        listed = ", ".join(str(folder) for folder in found)
        raise UserError(f"config.data.root={root} holds several data sets: pass one of {listed}.")
    return found[0]


def prepared_slabs(folder: Path) -> tuple[str, ...]:
    """Names of the slabs of a case of a prepared data set; () for one slab without a name.

    Raises:
        UserError: the files are damaged, or `prepare` did not write them.
    """
    builder = _open(folder)
    with _reading(folder):
        return tuple(builder.info.metadata["slabs"]) if builder.info.metadata else ()


def prepared_origin(folder: Path) -> tuple[str, str | None]:
    """The data set that a prepared one was made from.

    Returns:
        Its name in `DATA_SETS`, and its subset or None.

    Raises:
        UserError: the files are damaged, or `prepare` did not write them.
    """
    info = _open(folder).info
    subsets = DATA_SETS[info.name].subsets
    label = info.config_name.partition("_")[0]
    return info.name, next((one for one in subsets if one and one.lower() == label.lower()), None)


def prepared_pitch(folder: Path) -> Pitch:
    """The pitch of the cases of a prepared data set.

    Raises:
        UserError: the files are damaged, or `prepare` did not write them.
    """
    name, subset = prepared_origin(folder)
    return DATA_SETS[name].pitch(subset, folder)


def prepared_files(folder: Path) -> list[str]:
    """Names and sizes of the files that hold the cases of a prepared data set.

    Raises:
        UserError: a file cannot be examined.
    """
    with _reading(folder):
        return [f"{path.name} {path.stat().st_size}" for path in sorted(folder.glob("*_record*"))]


def prepared_reader(folder: Path, split: str, size: int | None) -> tuple[Read, int]:
    """What decodes the cases of a split in the order in which they are stored, and their number.

    Args:
        folder: the folder of one data set; see `find_prepared`.
        split: "train", "val" or "test".
        size: height and width of the result in pixels; None: those of each case.

    Raises:
        UserError: the files are damaged, or `prepare` did not write them.
    """
    builder = _open(folder)
    examples = _Examples(builder, split) if split in builder.info.splits else ()
    return lambda index: _named_case(examples[index], size), len(examples)


def case_of(example: dict[str, np.ndarray]) -> Case:
    """The case in one example of a prepared data set."""
    image = from_levels(example["image"], example["rv"].shape[1])
    rv, faz = (
        example[name][..., 0] > 0 if example[f"has_{name}"] else None for name in ("rv", "faz")
    )
    return Case(image, rv, faz, image.shape[:2])


class _Examples(Sequence):
    """The examples of one split, as TFDS decodes them."""

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str):
        self._folder = builder.data_path
        with _reading(self._folder):
            self._source = builder.as_data_source(split)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        with _reading(self._folder):
            return self._source[index]


def _named_case(example: dict[str, Any], size: int | None) -> tuple[str, Case]:
    return example["id"].decode(), resized(case_of(example), size)


def _open(folder: Path) -> tfds.core.DatasetBuilder:
    with _reading(folder):
        builder = tfds.builder_from_directory(folder)
    if builder.name not in DATA_SETS or set(builder.info.features) != _FEATURES:
        raise UserError(f"{folder} holds a TFDS data set that `prepare` did not write.")
    return builder


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Names the folder in the errors that TFDS raises about damaged files."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, ParseError) as error:
        raise UserError(
            f"The prepared data set {folder} cannot be read ({error}); delete it and prepare it "
            "again."
        ) from error
