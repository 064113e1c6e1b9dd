"""Pairs image files with mask files by name, split by split.

Folder names are compared without case, spaces, underscores and hyphens; file extensions and the
endings `_rv` and `_faz` without case. This module looks at names only; `s2a_jax.data.cases` reads
the pixels.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from s2a_jax.errors import UserError
from s2a_jax.inputs.names import counted, first_few, id_key

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Attributes:
        id: the image's file name without extension; unique within a split.
        split: "train", "val" or "test".
        image: the image, or the first of several slabs.
        rv: the vessel mask, or None.
        faz: the mask of the foveal avascular zone, or None.
        combined: one mask of both (0, 100 FAZ, 255 vessel); then `rv` and `faz` are None.
        threshold: lowest value inside `rv` and `faz`; None: they hold two values only.
        further: the other slabs, in order; as large as `image`.
        classes: a mask of classes (see `class_mask`) that replaces `rv` or `faz` where it is None.
    """

    id: str
    split: str
    image: Path
    rv: Path | None
    faz: Path | None
    combined: Path | None
    threshold: int | None = None
    further: tuple[Path, ...] = ()
    classes: Path | None = None


@dataclass(frozen=True)
class Listing:
    """The cases in a folder.

    Attributes:
        layout: the recognised layout, as messages show it.
        cases: ordered by split (train, val, test), then by id; each has at least one mask.
        notes: sentences to log: left-out images, missing masks, a val split made here.
    """

    layout: str
    cases: tuple[CaseFiles, ...]
    notes: tuple[str, ...]


class SlabFolder(NamedTuple):
    """The images of one slab by stem, and the folder where they are or should be."""

    path: Path
    files: dict[str, Path]


@dataclass
class SplitFiles:
    """The images of one split and their masks, each by the image's stem.

    There may be masks of other images too. `combined`, `threshold` and `classes` are as in
    `CaseFiles`. With several `slabs`, `images` has the first existing slab of each stem.
    """

    images: dict[str, Path]
    rv: dict[str, Path] = field(default_factory=dict)
    faz: dict[str, Path] = field(default_factory=dict)
    combined: dict[str, Path] = field(default_factory=dict)
    threshold: int | None = None
    slabs: tuple[SlabFolder, ...] = ()
    classes: dict[str, Path] = field(default_factory=dict)


def with_slabs(slabs: Sequence[SlabFolder], files: SplitFiles) -> SplitFiles:
    """Combines the masks of `files` with the images of one or several slabs."""
    if len(slabs) == 1:
        return replace(files, images=slabs[0].files)
    images = {stem: path for slab in reversed(slabs) for stem, path in slab.files.items()}
    return replace(files, images=images, slabs=tuple(slabs))


def pair_splits(
    folder: Path, layout: str, groups: dict[str, SplitFiles], skip_incomplete: bool = False
) -> Listing:
    """Pairs images with masks; makes a val split from the last tenth of train if there is none.

    Args:
        folder: the data set's folder, for messages.
        layout: the recognised layout, for messages.
        groups: the files of each of `SPLITS`.
        skip_incomplete: leave out cases that lack a slab, with a note, instead of raising.

    Raises:
        UserError: there is no labelled train case, or only one and no val split; a case lacks a
            slab; or an image has both a combined and a separate mask.
    """
    notes = []
    cases = {split: _cases(files, split) for split, files in groups.items()}
    total = sum(len(files.images) for files in groups.values())
    unlabelled = [
        f"{split}/{stem}"
        for split in SPLITS
        for stem in sorted(groups[split].images.keys() - {case.id for case in cases[split]})
    ]
    if unlabelled:
        notes.append(
            f"Left out, without a mask: {len(unlabelled)} of {counted(total, 'image')}: "
            f"{first_few(unlabelled)}."
        )
    left_out = ""
    if incomplete := _take_incomplete(cases, groups):
        ids, lacking = list(incomplete), next(iter(incomplete.values()))
        lack = counted(len(ids), "case lacks", "cases lack")
        found = f"{lack} a slab ({first_few(ids)}; the first is not in {lacking})"
        if not skip_incomplete:
            raise UserError(
                f"{found}: add the files, name fewer slabs, or set config.data.incomplete=skip to "
                "leave these cases out."
            )
        notes.append(f"{found}: left out (incomplete=skip).")
        left_out = f", without {counted(len(ids), 'case')} left out for lack of a slab"
    if not cases["train"]:
        images = len(groups["train"].images)
        needed = "a mask and every slab" if left_out else "a mask"
        have = f"{images} train images, none with {needed}" if images else "no train images"
        raise UserError(
            f"{folder} has no train split ({have}); expected the layout {layout}, where a mask "
            "has the name of its image."
        )
    if not cases["val"]:
        count = max(1, len(cases["train"]) // 10)
        if count == len(cases["train"]):
            raise UserError(
                f"{folder} has one train case and no val split{left_out}; add a val split or train "
                "cases."
            )
        taken = cases["train"][-count:]
        cases["train"] = cases["train"][:-count]
        cases["val"] = [replace(case, split="val") for case in taken]
        notes.append(
            f"There is no val split: val takes the last {count} of {count + len(cases['train'])} "
            f"train cases by id ({taken[0].id} to {taken[-1].id})."
        )
    if not cases["test"]:
        notes.append("There is no test split.")
    every = [case for split in SPLITS for case in cases[split]]
    for task, attribute in (("RV", "rv"), ("FAZ", "faz")):
        others = [
            case for case in every if case.combined is None and getattr(case, attribute) is None
        ]
        without = [case for case in others if case.classes is None]
        if len(without) < len(others):
            folder_of_classes = next(case.classes for case in others if case.classes).parent
            notes.append(
                f"The {task} masks of {counted(len(others) - len(without), 'case')} are made from "
                f"the classes in {folder_of_classes}."
            )
        if without:
            notes.append(f"No {task} mask: {len(without)} of {counted(len(every), 'case')}.")
    counts = Counter(case.id for case in every)
    shared = sorted((id_ for id_, count in counts.items() if count > 1), key=id_key)
    if shared:
        notes.append(
            f"{counted(len(shared), 'name occurs', 'names occur')} in more than one split "
            f"({first_few(shared)}): make sure that they belong to different eyes."
        )
    return Listing(layout, tuple(every), tuple(notes))


def _take_incomplete(
    cases: dict[str, list[CaseFiles]], groups: dict[str, SplitFiles]
) -> dict[str, Path]:
    """Removes the cases that lack a slab; returns "split/id" -> a slab folder that lacks it."""
    incomplete = {}
    for split, files in groups.items():
        for case in cases[split]:
            lacking = next((slab.path for slab in files.slabs if case.id not in slab.files), None)
            if lacking is not None:
                incomplete[f"{split}/{case.id}"] = lacking
        cases[split] = [case for case in cases[split] if f"{split}/{case.id}" not in incomplete]
    return incomplete


def _cases(files: SplitFiles, split: str) -> list[CaseFiles]:
    """The images that have a mask, sorted by id."""
    cases = []
    for stem in sorted(files.images, key=id_key):
        rv, faz, combined, classes = (
            masks.get(stem) for masks in (files.rv, files.faz, files.combined, files.classes)
        )
        if combined and (rv or faz):
            raise UserError(
                f"The image {files.images[stem]} has a combined mask {combined} and a separate "
                f"one {rv or faz}; keep one kind."
            )
        if rv and faz:
            classes = None
        if rv or faz or combined or classes:
            paths = [slab.files[stem] for slab in files.slabs if stem in slab.files]
            image, *further = paths or [files.images[stem]]
            masks = (rv, faz, combined, files.threshold)
            cases.append(CaseFiles(stem, split, image, *masks, tuple(further), classes))
    return cases
