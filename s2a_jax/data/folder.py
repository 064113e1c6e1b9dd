"""A user's own folder of images and masks, with split folders or without."""

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
    has_layout,
    levels,
    list_slabs,
)
from s2a_jax.data.octa500_ids import official_pitch, subset_of_name
from s2a_jax.data.pairing import Listing, pair_splits
from s2a_jax.data.splits import SPLITS, TRAINING, Wanted, find_split, split_folders
from s2a_jax.data.synthetic import set_pitch
from s2a_jax.errors import UserError
from s2a_jax.inputs.slabs import SlabError, slab_names

_HELP = "Arrange the files as data/README.md describes, and pass --config.data.root=DIR."
_VAL, _TEST = 0.1, 0.2  # shares of a folder that is not split


def list_user_folder(
    root: str | Path, slab: str | None = None, wanted: Wanted = TRAINING
) -> Listing:
    """Lists split folders in any known layout, or a folder without splits.

    Without splits, a hash of a case's name decides its split, about 70 % train, 10 % val and 20 %
    test: it stays the same when other images are added or removed. Images of one eye with different
    names may fall into different splits; make split folders to keep them together. A folder that
    is itself named like a split is that split in an evaluation.

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
    folder, layouts = _find(root, slabs)
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
    own = wanted.split and find_split(folder.name, (*SPLITS, wanted.split))
    if own:
        groups = {own: files}
        note = f"{folder} is a split folder: all of its cases are taken."
    else:
        groups = {split: replace(files, images={}) for split in SPLITS}
        for stem, path in files.images.items():
            groups[_split_of(stem)].images[stem] = path
        note = f"{folder} has no split folders: cases were split by a hash of their names."
    listing = pair_splits(
        folder, "Images and masks", FLAT_LAYOUT, groups, wanted, makes_val=not own
    )
    return replace(listing, notes=(note, *listing.notes))


def _find(root: Path, slabs: Sequence[str]) -> tuple[Path, list[SplitLayout]]:
    """The highest folder that holds images and masks, and the split layout of each slab.

    Returns:
        The folder, `root` if none was found, and its layouts; [] without split folders.

    Raises:
        UserError: several folders of one level hold images and masks, or one holds them twice.
    """
    for level in levels(root):
        found = [(one, _split_layouts(one, slabs)) for one in level]
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
    remedy = "pass the one to use"
    if subset is not None:
        remedy += (
            ", or choose a subset of OCTA-500 with config.data.name=octa500 and "
            f"config.data.subset={subset}"
        )
    return UserError(f"{root} holds several data sets: {listed}; {remedy}.")


def _split_layouts(folder: Path, slabs: Sequence[str]) -> list[SplitLayout]:
    """The layout of each slab in split folders; [] if no layout fits any of them."""
    for layout in SPLIT_LAYOUTS if split_folders(folder) else ():
        layouts = [
            replace(layout, image=f"{layout.image}/{name}" if name else layout.image)
            for name in slabs
        ]
        if any(has_layout(folder, one) for one in layouts):
            return layouts
    return []


def _split_of(stem: str) -> str:
    share = int.from_bytes(blake2b(stem.encode(), digest_size=8).digest()) / 2**64
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
