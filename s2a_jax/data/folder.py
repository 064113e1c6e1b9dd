"""A user's own folder of images and masks, with split folders or without."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from s2a_jax.data.entry import DataSet, Pitch, Subset, unknown_pitch
from s2a_jax.data.flat import FLAT_LAYOUT, flat_files, is_flat
from s2a_jax.data.layouts import (
    SPLIT_LAYOUTS,
    SplitLayout,
    existing_folder,
    fits,
    layout_for,
    levels,
    list_slabs,
)
from s2a_jax.data.octa500_ids import official_pitch, subset_of_name
from s2a_jax.data.pairing import Listing, pair_splits, unused_masks
from s2a_jax.data.patients import without_side
from s2a_jax.data.splits import ALL, SPLITS, TRAINING, Wanted, split_folders
from s2a_jax.data.synthetic import set_pitch
from s2a_jax.errors import UserError
from s2a_jax.inputs.slabs import SlabError, slab_names

_HELP = "Arrange the files as data/README.md describes, and pass --config.data.root=DIR."
_VAL, _TEST = 0.1, 0.2  # shares of a folder that is not split


def list_user_folder(
    root: str | Path, slab: str | None = None, wanted: Wanted = TRAINING
) -> Listing:
    """Lists split folders in any known layout, or a folder without splits.

    Without splits, a hash of a case's name without the side of the eye decides its split, about
    70 % train, 10 % val and 20 % test: it stays the same when other images are added or removed,
    and both eyes of a patient fall into one split. Images of one patient whose names differ in more
    may fall into different splits; make split folders to keep them together. A folder that
    is itself one of several split folders is that split in an evaluation, and nothing to train on.

    Args:
        root: the folder, or one that lies one or two levels above it.
        slab: name of a folder below the images' folder, or several with commas between, which
            hold the slabs of the same eyes under the same names; None: the images' folder itself.
        wanted: the cases to list.

    Raises:
        UserError: nothing or more than one thing is recognised, there is no train case, a case
            lacks a slab, or one image or mask has two files.
    """
    slabs = slab_names(slab) or ("",)
    root = existing_folder(root, _HELP)
    folder, layouts = _find(root, slabs, wanted)
    if layouts:
        return list_slabs([(folder, one) for one in layouts], wanted)
    files = flat_files(folder, slabs)
    if not files.images or not (files.rv or files.faz or files.combined):
        looked_for = "; ".join((FLAT_LAYOUT, *(layout.name for layout in SPLIT_LAYOUTS)))
        fact = f"No images with masks in {folder}; looked for: {looked_for}"
        if slab:
            raise SlabError(f"{fact}, with the images of config.data.slab={slab} one folder deeper")
        raise UserError(f"{fact}. {_HELP}")
    if wanted.split is None and wanted.train_split != SPLITS[0]:
        raise UserError(
            f"config.data.train_split={wanted.train_split}: {folder} has no split folders; leave "
            "it out."
        )
    own = _own_split(folder)
    if own and wanted.split is None:
        raise UserError(
            f"{folder} is the split folder {own} of {folder.parent}; train on all of its split "
            f"folders with --config.data.root={shlex.quote(str(folder.parent))}."
        )
    if own:
        groups = {own: files}
        note = f"{folder} is a split folder: all of its cases are taken."
    else:
        groups = {split: replace(files, images={}) for split in SPLITS}
        for stem, path in files.images.items():
            groups[_split_of(without_side(stem))].images[stem] = path
        how = "cases were split by a hash of their names"
        if wanted.split == ALL:
            how = "all of its cases are taken"
        elif wanted.split is not None:
            how += "; --split all evaluates all of them"
        note = f"{folder} has no split folders: {how}."
    listing = pair_splits(
        folder, "Images and masks", FLAT_LAYOUT, groups, wanted, makes_val=not own
    )
    return replace(listing, notes=(note, *unused_masks(folder, groups), *listing.notes))


def _own_split(folder: Path) -> str | None:
    """The split that a folder without split folders is; None if it is a data set of its own.

    Its name alone says too little: another split folder of the same layout must lie beside it.
    """
    folders = split_folders(folder.parent)
    own = next((split for split, home in folders.items() if home == folder), None)
    layouts = [layout for layout in SPLIT_LAYOUTS if fits(folder, layout)]
    for split, home in folders.items():
        # test_a beside test_b are two data sets.
        is_pair = split != own and (split in SPLITS or own in SPLITS)
        if is_pair and any(fits(home, layout) for layout in layouts):
            return own
    return None


def _find(root: Path, slabs: Sequence[str], wanted: Wanted) -> tuple[Path, list[SplitLayout]]:
    """The highest folder that holds images and masks, and the split layout of each slab.

    Returns:
        The folder, `root` if none was found, and its layouts; [] without split folders.

    Raises:
        UserError: several folders of one level hold images and masks, or one holds them twice.
    """
    for level in levels(root):
        found = [(one, _split_layouts(one, slabs, wanted)) for one in level]
        found = [(one, layouts) for one, layouts in found if layouts or is_flat(one)]
        if len(found) > 1:
            raise _several(root, [folder for folder, _ in found])
        for folder, layouts in found:
            if layouts and is_flat(folder):
                splits = ", ".join(home.name for home in split_folders(folder).values())
                raise UserError(
                    f"{folder} holds images and masks itself and also in split folders ({splits}); "
                    "move one of them elsewhere."
                )
            return folder, layouts
    return root, []


def _several(root: Path, folders: Sequence[Path]) -> UserError:
    listed = ", ".join(str(folder) for folder in folders)
    subset = next(filter(None, (subset_of_name(folder.name) for folder in folders)), None)
    remedy = "set config.data.root to the one to use"
    if subset is not None:
        remedy += (
            ", or choose a subset of OCTA-500 with config.data.name=octa500 and "
            f"config.data.subset={subset}"
        )
    return UserError(f"{root} holds several data sets: {listed}; {remedy}.")


def _split_layouts(folder: Path, slabs: Sequence[str], wanted: Wanted) -> list[SplitLayout]:
    """The layout of each slab in split folders; [] if no layout fits any of them."""
    layouts = {
        replace(layout, image=f"{layout.image}/{name}" if name else layout.image): layout
        for layout in SPLIT_LAYOUTS
        for name in slabs
    }
    found = layout_for(folder, list(layouts), wanted)
    return [with_slab for with_slab, layout in layouts.items() if layout is layouts.get(found)]


def _split_of(patient: str) -> str:
    share = int.from_bytes(blake2b(patient.encode(), digest_size=8).digest()) / 2**64
    if share < _VAL:
        return "val"
    return "test" if share < _VAL + _TEST else "train"


def _pitch(_: str | None, folder: Path) -> Pitch:
    """The pitch of synthetic eyes, or of OCTA-500's, that lie in a folder."""
    pitch = set_pitch(folder)
    return official_pitch(folder) if pitch is unknown_pitch else pitch


FOLDER = DataSet(
    name="folder",
    about="your own images",
    list_cases=lambda root, _, slab, wanted: list_user_folder(root, slab, wanted),
    subsets={None: Subset()},
    pitch=_pitch,
)
