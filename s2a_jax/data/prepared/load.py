"""Reads a prepared data set into memory: TFDS data source -> grain -> `CaseSet`."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grain
import numpy as np
import tensorflow_datasets as tfds

from s2a_jax.data.cases import Case, CaseSet, resized, stacked
from s2a_jax.data.pairing import SPLITS
from s2a_jax.data.prepared.builders import from_levels
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import id_key

# TFDS recommends OpenCV, which reads nothing that is stored here.
logging.getLogger("absl").addFilter(lambda record: "OpenCV is not installed" not in str(record.msg))

_INFO = "dataset_info.json"
_DAMAGED = (ValueError, KeyError, OSError, RuntimeError)


def find_prepared(root: str | Path) -> Path:
    """The one prepared data set in a folder or below it.

    Raises:
      UserError: there is none, or there are several.
    """
    root = Path(root).expanduser().absolute()
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
    """Names of the slabs that a case of a prepared data set has; () with one that was not named.

    Raises:
      UserError: the files are damaged, or not ones that `prepare` wrote.
    """
    try:
        info = tfds.builder_from_directory(folder).info
        if info.metadata:
            return tuple(info.metadata["slabs"])
        # Older ones note several slabs only; of one their name tells: 3m_full, 1_DVC, default_deep.
        slab = info.config_name.partition("_")[2]
    except _DAMAGED as error:
        raise _unreadable(folder, error) from error
    return ((slab.upper() if info.name == "octa500" else slab),) if slab else ()


def prepared_origin(folder: Path) -> tuple[str, str | None]:
    """What a prepared data set was made of, by the names that `prepare` gave.

    Returns:
      octa500, rose, folder or synthetic, and the subset as `config.data.subset`; None for those
      without subsets.

    Raises:
      UserError: the files are damaged, or not ones that `prepare` wrote.
    """
    try:
        info = tfds.builder_from_directory(folder).info
        subset = info.config_name.partition("_")[0].upper()
    except _DAMAGED as error:
        raise _unreadable(folder, error) from error
    return info.name, subset if info.name in ("octa500", "rose") else None


def load_prepared(folder: Path, size: int) -> dict[str, CaseSet]:
    """Every split, each decoded once.

    Args:
      folder: of one data set, as `find_prepared` gives.
      size: height and width of the result in pixels.

    Returns:
      "train", "val" and "test" -> the same cases that reading the raw folder gives.

    Raises:
      UserError: the files are damaged, or not ones that `prepare` wrote.
    """
    try:
        builder = tfds.builder_from_directory(folder)
        return {
            split: _load(builder.as_data_source(split), size)
            if split in builder.info.splits
            else stacked([], [], size)
            for split in SPLITS
        }
    except _DAMAGED as error:
        raise _unreadable(folder, error) from error


def prepared_cases(folder: Path, split: str) -> list[tuple[str, Case]]:
    """One split's cases at their native sizes.

    Args:
      folder: of one data set, as `find_prepared` gives.
      split: "train", "val" or "test".

    Returns:
      Pairs of id and case.

    Raises:
      UserError: as `load_prepared`.
    """
    try:
        builder = tfds.builder_from_directory(folder)
        if split not in builder.info.splits:
            return []
        return _decode(builder.as_data_source(split), None)
    except _DAMAGED as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> UserError:
    return UserError(
        f"The prepared data set {folder} cannot be read ({error}); delete it and prepare it again."
    )


def _load(source: Sequence[dict[str, Any]], size: int) -> CaseSet:
    pairs = _decode(source, size)
    return stacked([name for name, _ in pairs], [case for _, case in pairs], size)


def _decode(source: Sequence[dict[str, Any]], size: int | None) -> list[tuple[str, Case]]:
    decoded = (
        grain.MapDataset.source(source)
        .map(lambda example: (example["id"].decode(), resized(case_of(example), size)))
        .to_iter_dataset(grain.ReadOptions(num_threads=4, prefetch_buffer_size=16))
    )
    # TFDS shuffles what it writes.
    return sorted(decoded, key=lambda pair: id_key(pair[0]))


def case_of(example: dict[str, np.ndarray]) -> Case:
    """The case that one example of a prepared data set holds."""
    image = from_levels(example["image"])
    rv, faz = (
        example[name][..., 0] > 0 if example[f"has_{name}"] else None for name in ("rv", "faz")
    )
    return Case(image, rv, faz, image.shape[:2])
