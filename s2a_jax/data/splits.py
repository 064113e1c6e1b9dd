"""The splits of a data set: the names of their folders, and which of them a caller needs."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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
    """

    split: str | None = None
    train_split: str = "train"
    skip_incomplete: bool = False

    def reads(self, known: Iterable[str]) -> list[str]:
        """The splits among `known` to read; train for val and the reverse.

        A val split that does not exist is made from train.
        """
        if self.split is None:
            return list(SPLITS)
        if self.split == ALL:
            return list(known)
        pair = SPLITS[:2] if find_split(self.split, SPLITS[:2]) else ()
        return [one for one in known if self.takes(one) or one in pair]

    def takes(self, split: str) -> bool:
        """Whether the cases of a split are among the wanted ones."""
        return self.split in (None, ALL) or find_split(self.split, (split,)) is not None


TRAINING = Wanted()
"""The three splits of a training run, the training cases in the folder `train`."""


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders in `folder` that are named like splits, by split.

    Returns:
        "train", "val" and "test" under any of their names, then the others, whose names start with
        one of these, such as `train_manual`, by their own names.
    """
    official: dict[str, Path] = {}
    others: dict[str, Path] = {}
    for child in folders_in(folder):
        split = find_split(child.name, SPLITS)
        if split is not None and split not in official:
            official[split] = child
        elif fold_name(child.name).startswith(SPLITS):
            others[child.name] = child
    return {split: official[split] for split in SPLITS if split in official} | others


def find_split(name: str, known: Iterable[str]) -> str | None:
    """The split among `known` that a name stands for, or None; `validation` stands for `val`."""
    folded = fold_name(name)
    return next((one for one in known if folded in _FOLDER_NAMES.get(one, (fold_name(one),))), None)
