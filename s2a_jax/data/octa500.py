"""OCTA-500: recognises the releases and their layouts on disk, and lists the cases."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from s2a_jax.data.entry import DataSet, Subset
from s2a_jax.data.flat import is_flat
from s2a_jax.data.layouts import (
    SPLIT_LAYOUTS,
    NotRecognisedError,
    SplitLayout,
    existing_folder,
    image_names,
    layout_for,
    levels,
    list_slabs,
)
from s2a_jax.data.octa500_ids import (
    IDS,
    SIDES,
    official_pitch,
    official_split,
    subset_of_ids,
    subset_of_name,
)
from s2a_jax.data.pairing import Listing, SlabFolder, SplitFiles, pair_splits, with_slabs
from s2a_jax.data.splits import SPLITS, TRAINING, Wanted
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import child_folder, first_few, images_in
from s2a_jax.inputs.slabs import SlabError

_HELP = (
    "Get OCTA-500 from IEEE DataPort (search for OCTA-500) or its authors' page, unpack it and "
    "pass --config.data.root=DIR; to try the program without any data, run "
    "`python main.py --config configs/synthetic.py --workdir runs/demo`."
)

_LABELS = ("GT_LargeVessel", "GT_FAZ", "GT_CAVF")
"""Folders of vessel masks, FAZ masks, and classes that replace a missing one of these."""
_NEW_RELEASE = f"OCTA-500, new release (Label/{{{','.join(_LABELS)}}})"
_OLD_RELEASE = "OCTA-500, old release (GroundTruth)"
_LOOKED_FOR = (
    "OCTA_3mm|OCTA_6mm|OCTA_3M|OCTA_6M with Projection Maps/OCTA(ILM_OPL), and "
    f"Label/{{{','.join(_LABELS)}}} or GroundTruth",
    *(layout.name for layout in SPLIT_LAYOUTS),
)


@dataclass(frozen=True)
class _Found:
    """A recognised folder: a release with `slabs` of images by id, or a `layout` of splits."""

    folder: Path
    subset: str | None  # None: unknown
    slabs: tuple[SlabFolder, ...] = ()
    layout: SplitLayout | None = None


def list_octa500(
    root: str | Path, subset: str, slab: str | None = None, wanted: Wanted = TRAINING
) -> Listing:
    """Finds OCTA-500 in any of its usual layouts and lists the cases of a subset.

    The releases by id have the official splits. An absent val split is made from the last tenth of
    train. Split folders are kept as they are; their subset is known if the folder is named after
    one or all images have ids of one, and otherwise they serve for either.

    Args:
        root: the data set's folder, a folder one or two levels above it, or a subset's folder.
        subset: "3M" or "6M".
        slab: of the releases, "ILM_OPL" (superficial; also None), "FULL" or "OPL_BM", or several
            with commas between.
        wanted: the cases to list.

    Raises:
        UserError: the subset or slab is unknown, split folders are to have slabs, no or several
            data sets are recognised, the subset or its train split is absent, a case lacks a slab,
            ids are outside the official ranges, or one image or mask has two files.
    """
    names = OCTA500.chosen_slabs(subset, slab)
    root = existing_folder(root, _HELP)
    found = _choose(_search(root, names, wanted), root, subset)
    if found.layout is not None:
        if slab is not None:
            raise SlabError(
                f"config.data.slab={slab!r}: {found.folder} has the layout {found.layout.name}, "
                "in which there is one kind of image",
                "leave it out",
            )
        return list_slabs([(found.folder, found.layout)], wanted)
    if wanted.split is None and wanted.train_split != SPLITS[0]:
        raise UserError(
            f"config.data.train_split={wanted.train_split}: {found.folder} has no split folders, "
            "but the official splits; leave it out."
        )
    layout, files = _files_by_id(found)
    groups = _by_official_split(files, subset)
    return pair_splits(found.folder, layout.partition(" (")[0], layout, groups, wanted)


def _search(root: Path, slab_names: tuple[str, ...], wanted: Wanted) -> list[_Found]:
    """Every recognised folder: releases by id before split folders, then by depth."""
    by_id, by_folder = [], []
    for folder in chain.from_iterable(levels(root)):
        subset = subset_of_name(folder.name)
        if slabs := _slabs(folder, slab_names):
            subset = subset or subset_of_ids(stem for slab in slabs for stem in slab.files)
            by_id.append(_Found(folder, subset, slabs))
        layout = layout_for(folder, SPLIT_LAYOUTS, wanted)
        if layout is not None:
            subset = subset or subset_of_ids(image_names(folder, layout))
            by_folder.append(_Found(folder, subset, layout=layout))
    return by_id + by_folder


def _choose(found: Sequence[_Found], root: Path, subset: str) -> _Found:
    if not found:
        if any(map(is_flat, chain.from_iterable(levels(root)))):
            raise NotRecognisedError(
                f"{root} holds images and masks, but in no layout of OCTA-500; to read them as "
                "your own images choose config.data.name=folder."
            )
        looked_for = "; ".join(_LOOKED_FOR)
        raise NotRecognisedError(
            f"No data set was recognised in {root}; looked for: {looked_for}. {_HELP}"
        )
    pool = [one for one in found if one.subset == subset]
    if not pool:
        other = next((one for one in found if one.subset is not None), None)
        if other is not None:
            raise NotRecognisedError(
                f"{root} does not hold the subset {subset} of OCTA-500, only {other.subset} (in "
                f"{other.folder}); add the folder of {subset}, or choose {other.subset}."
            )
        pool = found
    first = pool[0]
    rivals = [one for one in pool if _rank(one, root) == _rank(first, root)]
    if len(rivals) > 1:
        listed = ", ".join(str(one.folder) for one in rivals)
        raise UserError(
            f"{root} holds several data sets: {listed}; set config.data.root to the one to use."
        )
    return first


def _rank(found: _Found, root: Path) -> tuple[bool, int]:
    return found.layout is not None, len(found.folder.relative_to(root).parts)


def _slabs(folder: Path, names: tuple[str, ...]) -> tuple[SlabFolder, ...]:
    """The images of each slab, OCTA(<name>), in a subset's folder; () where there are none."""
    maps = child_folder(folder, "Projection Maps")
    if maps is None:
        return ()
    slabs = []
    for name in names:
        path = child_folder(maps, f"OCTA({name})")
        slabs.append(SlabFolder(path or maps / f"OCTA({name})", images_in(path)))
    return tuple(slabs) if any(slab.files for slab in slabs) else ()


def _files_by_id(found: _Found) -> tuple[str, SplitFiles]:
    """The layout's name and the files of one subset."""
    images = with_slabs(found.slabs, SplitFiles({})).images
    for home in (found.folder, found.folder.parent):
        for labels in (child_folder(home, "Label"), home):
            if labels is None:
                continue
            rv, faz, classes = (images_in(child_folder(labels, name)) for name in _LABELS)
            # One folder of labels serves both subsets; it may hold only those of the other one.
            if images.keys() & (rv.keys() | faz.keys() | classes.keys()):
                masks = SplitFiles({}, rv=rv, faz=faz, classes=classes)
                return _NEW_RELEASE, with_slabs(found.slabs, masks)
    combined = images_in(child_folder(found.folder, "GroundTruth"))
    if images.keys() & combined.keys():
        return _OLD_RELEASE, with_slabs(found.slabs, SplitFiles({}, combined=combined))
    raise UserError(
        f"{found.folder} has images but no masks for them; looked for {', '.join(_LABELS)} in a "
        "folder Label in it or beside it, and for GroundTruth in it; no other labels are read. "
        "Unpack the labels there."
    )


def _by_official_split(files: SplitFiles, subset: str) -> dict[str, SplitFiles]:
    outside = [stem for stem in files.images if official_split(stem, subset) is None]
    if outside:
        folder = files.images[outside[0]].parent
        ids = [id_ for split in IDS[subset].values() for id_ in split]
        raise UserError(
            f"{folder} holds images that {subset} of OCTA-500 does not have: "
            f"{first_few(outside)}; its ids are {min(ids)} to {max(ids)}. Remove these files."
        )
    groups = {}
    for split in SPLITS:
        images = {
            stem: path
            for stem, path in files.images.items()
            if official_split(stem, subset) == split
        }
        groups[split] = replace(files, images=images)
    return groups


_LAYERS = {"ILM_OPL": "superficial", "FULL": "whole", "OPL_BM": "deep"}

OCTA500 = DataSet(
    name="octa500",
    about="OCTA-500",
    list_cases=list_octa500,
    subsets={subset: Subset(side, _LAYERS) for subset, side in SIDES.items()},
    marks=lambda folder: child_folder(folder, "Projection Maps") is not None,
    pitch=lambda _, folder: official_pitch(folder),
    prepared_name=str.lower,
)
