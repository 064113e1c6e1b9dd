"""Pairs image files with mask files by name, split by split.

Folder names are compared without case, spaces, underscores and hyphens; file extensions and the
endings `_rv` and `_faz` without case. This module looks at names only; `s2a_jax.data.cases` reads
the pixels.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from s2a_jax.data.splits import SPLITS, Wanted
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import counted, first_few, id_key


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Attributes:
        id: the image's file name without extension; unique within a split.
        split: "train", "val" or "test"; in an evaluation also the name of another split folder.
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

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """All its files; None in place of those that it does not have."""
        return self.image, *self.further, self.rv, self.faz, self.combined, self.classes


@dataclass(frozen=True)
class Listing:
    """The cases in a folder.

    Attributes:
        layout: the folder and what was found in it, as messages show it.
        folder: the data set's own folder, which may lie below the one that was given.
        splits: the splits that exist there, wanted or not.
        cases: ordered by split (train, val, test, others), then by id; each has at least one mask.
        notes: sentences to log: left-out images, missing masks, a val split made here.
    """

    layout: str
    folder: Path
    splits: tuple[str, ...]
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
    folder: Path,
    title: str,
    layout: str,
    groups: Mapping[str, SplitFiles],
    wanted: Wanted,
    known: Sequence[str] = (),
    makes_val: bool = True,
) -> Listing:
    """Pairs images with masks; an absent val split is made from the last tenth of train.

    Args:
        folder: the data set's folder, for messages.
        title: what was recognised in it, for messages.
        layout: the layout that is expected, for messages.
        groups: split -> its files; at least those of every split that `wanted` reads.
        wanted: the cases to return.
        known: every split of the data set; default: the groups that have images.
        makes_val: whether to make an absent val split.

    Raises:
        UserError: a case lacks a slab; an image has both a combined and a separate mask; or, for
            training, there is no labelled train case, or only one and no val split.
    """
    known = list(known) or [split for split, files in groups.items() if files.images]
    wanted = wanted.among(groups)
    groups = {split: groups[split] for split in wanted.reads(groups)}
    cases = {split: _cases(files, split) for split, files in groups.items()}
    notes = _unlabelled(cases, groups)
    if incomplete := _take_incomplete(cases, groups):
        notes.append(_left_out(incomplete, wanted.skip_incomplete))
    if wanted.split is None:
        _check_trainable(folder, layout, cases, groups, known, len(incomplete))
    train = cases.get("train", [])
    if makes_val and not cases.get("val") and len(train) > 1:
        count = max(1, len(train) // 10)
        cases["train"], taken = train[:-count], train[-count:]
        cases["val"] = [replace(case, split="val") for case in taken]
        notes.append(
            f"There is no val split: val takes the last {count} of {len(train)} train cases by id "
            f"({taken[0].id} to {taken[-1].id})."
        )
    if wanted.split is None and not cases["test"]:
        notes.append("There is no test split.")
    order = [split for split in SPLITS if split in cases]
    order += [split for split in cases if split not in SPLITS]
    chosen = [case for split in order if wanted.takes(split) for case in cases[split]]
    notes += (*_missing_masks(chosen), *_shared_names(chosen))
    found = _described(folder, title, chosen)
    return Listing(found, folder, tuple(known), tuple(chosen), tuple(notes))


def _unlabelled(
    cases: Mapping[str, Sequence[CaseFiles]], groups: Mapping[str, SplitFiles]
) -> list[str]:
    """A sentence about the images that have no mask, if there are any."""
    total = sum(len(files.images) for files in groups.values())
    unlabelled = [
        f"{split}/{stem}"
        for split, files in groups.items()
        for stem in sorted(files.images.keys() - {case.id for case in cases[split]})
    ]
    if not unlabelled:
        return []
    return [
        f"Left out, without a mask: {len(unlabelled)} of {counted(total, 'image')}: "
        f"{first_few(unlabelled)}."
    ]


def unused_masks(folder: Path, groups: Mapping[str, SplitFiles]) -> list[str]:
    """A sentence about the masks without an image of the same name, if there are any.

    Args:
        folder: the data set's; masks are named from there.
        groups: split -> its files.
    """
    known: dict[Path, None] = {}
    used: set[Path] = set()
    for files in groups.values():
        for masks in (files.rv, files.faz, files.combined, files.classes):
            known |= dict.fromkeys(masks.values())
            used |= {masks[stem] for stem in masks.keys() & files.images.keys()}
    unused = [
        str(path.relative_to(folder) if path.is_relative_to(folder) else path)
        for path in known
        if path not in used
    ]
    if not unused:
        return []
    return [
        f"Not used: {counted(len(unused), 'mask')} without an image of the same name: "
        f"{first_few(unused)}."
    ]


def _left_out(incomplete: Mapping[str, Path], skip: bool) -> str:
    """A sentence about the cases that lack a slab; raises it as a UserError unless `skip`."""
    ids, lacking = list(incomplete), next(iter(incomplete.values()))
    lack = counted(len(ids), "case lacks", "cases lack")
    found = f"{lack} a slab ({first_few(ids)}; the first is not in {lacking})"
    if not skip:
        raise UserError(
            f"{found}: add the files, name fewer slabs, or set config.data.incomplete=skip to "
            "leave these cases out."
        )
    return f"{found}: left out (incomplete=skip)."


def _check_trainable(
    folder: Path,
    layout: str,
    cases: Mapping[str, Sequence[CaseFiles]],
    groups: Mapping[str, SplitFiles],
    known: Sequence[str],
    incomplete: int,
) -> None:
    """Raises a UserError unless there are train cases, and val cases or enough to take some."""
    if not cases["train"]:
        images = len(groups["train"].images)
        needed = "a mask and every slab" if incomplete else "a mask"
        have = f"{images} train images, none with {needed}" if images else "no train images"
        if not images and known:
            have += f"; there are images in {', '.join(known)}"
        raise UserError(
            f"{folder} has no train split ({have}); expected the layout {layout}, where a mask "
            "has the name of its image."
        )
    if not cases["val"] and len(cases["train"]) == 1:
        without = f", without {counted(incomplete, 'case')} left out for lack of a slab"
        raise UserError(
            f"{folder} has one train case and no val split{without if incomplete else ''}; add a "
            "val split or train cases."
        )


def _missing_masks(cases: Sequence[CaseFiles]) -> list[str]:
    """Sentences about masks that are missing or made from classes."""
    notes = []
    for task, attribute in (("RV", "rv"), ("FAZ", "faz")):
        others = [
            case for case in cases if case.combined is None and getattr(case, attribute) is None
        ]
        without = [case for case in others if case.classes is None]
        if len(without) < len(others):
            folder_of_classes = next(case.classes for case in others if case.classes).parent
            notes.append(
                f"The {task} masks of {counted(len(others) - len(without), 'case')} are made from "
                f"the classes in {folder_of_classes}."
            )
        if without:
            notes.append(f"No {task} mask: {len(without)} of {counted(len(cases), 'case')}.")
    return notes


def _shared_names(cases: Sequence[CaseFiles]) -> list[str]:
    """A sentence about names that occur in several splits, if there are any."""
    counts = Counter(case.id for case in cases)
    shared = sorted((id_ for id_, count in counts.items() if count > 1), key=id_key)
    if not shared:
        return []
    return [
        f"{counted(len(shared), 'name occurs', 'names occur')} in more than one split "
        f"({first_few(shared)}): make sure that they belong to different eyes."
    ]


def _described(folder: Path, title: str, cases: Sequence[CaseFiles]) -> str:
    """What was found where, such as "Split folders in DIR: images in train/image, RV in ..."."""
    kinds = {
        "images": [path for case in cases for path in (case.image, *case.further)],
        "RV": [case.rv for case in cases],
        "FAZ": [case.faz for case in cases],
        "RV and FAZ": [case.combined for case in cases],
        "classes": [case.classes for case in cases],
    }
    parts = [
        f"{kind} in {places}"
        for kind, files in kinds.items()
        if (places := _places(folder, [path.parent for path in files if path is not None]))
    ]
    return f"{title} in {folder}" + (f": {', '.join(parts)}" if parts else "")


def _places(home: Path, folders: Iterable[Path]) -> str:
    """The folders, those below `home` as `{train,val}/image`; empty without any."""
    heads: dict[Path, dict[str, None]] = {}
    for folder in dict.fromkeys(folders):
        inside = folder.is_relative_to(home) and folder != home
        head, *rest = folder.relative_to(home).parts if inside else (str(folder),)
        heads.setdefault(Path(*rest), {})[head] = None
    return " and ".join(
        str(Path(next(iter(names)) if len(names) == 1 else f"{{{','.join(names)}}}") / rest)
        for rest, names in heads.items()
    )


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
