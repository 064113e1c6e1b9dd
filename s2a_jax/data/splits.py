"""The splits of a data set: the names of their folders, and which of them a caller needs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from s2a_jax.errors import UserError
from s2a_jax.inputs.names import fold_name, folders_in

SPLITS = ("train", "val", "test")
ALL = "all"
"""Stands for every split of a data set."""

_FOLDER_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Wanted:
    """The cases that a caller needs.

    Attributes:
        split: for an evaluation: "train", "val", "test", the name of another split folder, or
            "all"; nothing else has to exist. None: train, val and test, as a training run needs
            them.
        train_split: for training: the split folder that holds the training cases.
        skip_incomplete: leave out cases that lack one of several slabs, instead of raising.

    Raises:
        UserError: a name is empty.
    """

    split: str | None = None
    train_split: str = "train"
    skip_incomplete: bool = False

    def __post_init__(self):
        for field, name in (("--split", self.split), ("config.data.train_split", self.train_split)):
            if name is not None and not name.strip():
                raise UserError(f"{field} is empty; name a split folder, or leave it out.")

    def among(self, known: Iterable[str]) -> Self:
        """The same, with `split` as one of `known`, or as "train", "val" or "test", names it."""
        known = list(known)
        if self.split in (None, ALL, *known):
            return self
        return replace(self, split=find_split(self.split, (*known, *SPLITS)) or self.split)

    def reads(self, known: Iterable[str]) -> list[str]:
        """The splits among `known` to read, after `among`; train for val and the reverse.

        A val split that does not exist is made from train.
        """
        if self.split is None:
            return list(SPLITS)
        if self.split == ALL:
            return list(known)
        pair = SPLITS[:2] if self.split in SPLITS[:2] else ()
        return [one for one in known if self.takes(one) or one in pair]

    def takes(self, split: str) -> bool:
        """Whether the cases of a split are among the wanted ones, after `among`."""
        return self.split in (None, ALL, split)


TRAINING = Wanted()
"""The three splits of a training run, the training cases in the folder `train`."""


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders in `folder` that are named like splits, by split.

    Returns:
        "train", "val" and "test" under any of their names (of several, the exact one or else the
        first), then the others, whose names start with one of these, such as `train_manual`, by
        their own names.
    """
    homes = [one for one in folders_in(folder) if fold_name(one.name).startswith(SPLITS)]
    official: dict[str, Path] = {}
    for split in SPLITS:
        candidates = [home for home in homes if find_split(home.name, (split,))]
        if candidates:
            official[split] = min(candidates, key=lambda home: home.name != split)
    return official | {home.name: home for home in homes if home not in official.values()}


def candidates_for(name: str, folders: Mapping[str, Path]) -> list[str]:
    """The splits that a name may stand for: that of the folder with exactly this name, if any.

    Args:
        name: "train", "val", "test", another name of one of these, or that of another folder.
        folders: as `split_folders` returns them.
    """
    exact = [split for split, home in folders.items() if home.name == name]
    return exact or namesakes(name, folders)


def namesakes(name: str, folders: Mapping[str, Path]) -> list[str]:
    """The splits whose folders have a name that means the same as `name`."""
    meant = find_split(name, SPLITS) or name
    return [split for split, home in folders.items() if find_split(home.name, (meant,))]


def only_one(candidates: list[str], folders: Mapping[str, Path]) -> str | None:
    """The only one of several splits; None without any.

    Raises:
        UserError: there are several.
    """
    if len(candidates) > 1:
        first, second, *_ = (folders[split] for split in candidates)
        raise UserError(
            f"{first} and {second} are two folders for one split; name one of them exactly in an "
            "evaluation, or rename or join them."
        )
    return next(iter(candidates), None)


def find_split(name: str, known: Iterable[str]) -> str | None:
    """The split among `known` that a name stands for, or None; `validation` stands for `val`."""
    folded = fold_name(name)
    return next((one for one in known if folded in _FOLDER_NAMES.get(one, (fold_name(one),))), None)
