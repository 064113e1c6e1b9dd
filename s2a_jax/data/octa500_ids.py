"""The ids of OCTA-500, and what they or a folder's name say: subset, official split and pitch."""

import re
from collections.abc import Iterable
from pathlib import Path

from s2a_jax.data.entry import Pitch
from s2a_jax.data.splits import split_folders
from s2a_jax.inputs.names import fold_name

IDS = {
    "3M": {
        "train": range(10301, 10441),
        "val": range(10441, 10451),
        "test": range(10451, 10501),
    },
    "6M": {
        "train": range(10001, 10181),
        "val": range(10181, 10201),
        "test": range(10201, 10301),
    },
}
"""Subset -> official split -> ids of its eyes."""

SIDES = {"3M": 304, "6M": 400}
"""Subset -> published side of its images, pixels."""

FIELD_MM = {"3M": 3, "6M": 6}
"""Subset -> side of its field of view, mm."""

_NAME = re.compile(r"(?:octa(?:500)?)?([36])mm?")  # as `fold_name` writes it


def subset_of_name(name: str) -> str | None:
    """The subset that a folder is named after, as OCTA_3mm, OCTA500-6M or 3M; None for others."""
    match = _NAME.fullmatch(fold_name(name))
    return f"{match[1]}M" if match else None


def subset_of_ids(stems: Iterable[str]) -> str | None:
    """The subset of the ids among file names; None without ids, or with those of both subsets."""
    subsets = {_subset_of_id(stem) for stem in stems} - {None}
    return subsets.pop() if len(subsets) == 1 else None


def official_split(stem: str, subset: str) -> str | None:
    """The official split of an id; None if the subset does not have it."""
    for split, ids in IDS[subset].items():
        if stem.isascii() and stem.isdecimal() and int(stem) in ids:
            return split
    return None


def official_pitch(folder: Path) -> Pitch:
    """The pitch of OCTA-500's cases in a data set's folder, at their published size.

    Cases are known by their ids, or by the name of the folder (of the folder around a single split
    folder). The size of an image alone says nothing about its pitch: others also save 304 pixels.
    """
    home = folder.parent if folder in split_folders(folder.parent).values() else folder
    named = subset_of_name(home.name)

    def pitch(id_: str, size: tuple[int, int]) -> float | None:
        subset = _subset_of_id(id_) or named
        if subset is None or tuple(size) != (SIDES[subset], SIDES[subset]):
            return None  # unknown, or cropped or resized
        return 1000 * FIELD_MM[subset] / SIDES[subset]

    return pitch


def _subset_of_id(stem: str) -> str | None:
    return next((subset for subset in IDS if official_split(stem, subset) is not None), None)
