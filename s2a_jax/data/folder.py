"""A user's own folder of images and masks, with split folders or without."""

from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from s2a_jax.data.entry import DataSet, Subset
from s2a_jax.data.layouts import SPLIT_LAYOUTS, existing_folder, has_layout, list_slabs
from s2a_jax.data.pairing import SPLITS, Listing, SlabFolder, SplitFiles, pair_splits, with_slabs
from s2a_jax.data.synthetic import set_pitch
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import child_folder, images_in
from s2a_jax.inputs.slabs import SlabError, slab_names

_IMAGES = ("images", "image", "img")
_BOTH = ("masks", "mask")
_RV = ("rv", "vessel", "label_RV", "gt_VES", "GT_LargeVessel")
_FAZ = ("faz", "label_FAZ", "gt_FAZ")
_UNSPLIT = (
    "images/ with masks/<stem>.png (0, 100 FAZ, 255 vessel), masks/<stem>_rv.png and "
    "<stem>_faz.png, or the folders rv/ and faz/"
)
_HELP = "Arrange the files as data/README.md describes, and pass --config.data.root=DIR."
_VAL, _TEST = 0.1, 0.2  # shares of a folder that is not split


def list_user_folder(
    root: str | Path, slab: str | None = None, skip_incomplete: bool = False
) -> Listing:
    """Lists {train,val,test} folders in any known layout, or a folder without splits.

    Without splits, a hash of a case's name decides its split, about 70 % train, 10 % val and 20 %
    test: it stays the same when other images are added or removed. Images of one eye with different
    names may fall into different splits; make split folders to keep them together.

    Args:
        root: the folder.
        slab: name of a folder below the images' folder, or several with commas between, which
            hold the slabs of the same eyes under the same names; None: the images' folder itself.
        skip_incomplete: leave out cases that lack one of the slabs, instead of raising.

    Raises:
        UserError: nothing is recognised, there is no train case, a case lacks a slab, or one image
            or mask has two files.
    """
    below = [f"/{name}" for name in slab_names(slab)] or [""]
    root = existing_folder(root, _HELP)
    for layout in SPLIT_LAYOUTS:
        layouts = [replace(layout, image=layout.image + name) for name in below]
        if any(has_layout(root, one) for one in layouts):
            return list_slabs([(root, one) for one in layouts], skip_incomplete)
    home, masks = child_folder(root, *_IMAGES), child_folder(root, *_BOTH)
    slabs = [_slab(home, root / _IMAGES[0], name.strip("/")) for name in below]
    files = SplitFiles(
        {},
        rv=images_in(masks, "_rv") or images_in(child_folder(root, *_RV)),
        faz=images_in(masks, "_faz") or images_in(child_folder(root, *_FAZ)),
        combined=images_in(masks),
    )
    files = with_slabs(slabs, files)
    if not files.images or not (files.rv or files.faz or files.combined):
        looked_for = "; ".join((_UNSPLIT, *(layout.name for layout in SPLIT_LAYOUTS)))
        fact = f"No images with masks in {root}; looked for: {looked_for}"
        if slab:
            raise SlabError(f"{fact}, with the images of config.data.slab={slab} one folder deeper")
        raise UserError(f"{fact}. {_HELP}")
    groups = {split: replace(files, images={}) for split in SPLITS}
    for stem, path in files.images.items():
        groups[_split_of(stem)].images[stem] = path
    listing = pair_splits(root, _UNSPLIT, groups, skip_incomplete)
    note = f"{root} has no split folders: cases were split by a hash of their names."
    return replace(listing, notes=(note, *listing.notes))


def _slab(images: Path | None, expected: Path, name: str) -> SlabFolder:
    """The images of one slab; `expected` replaces a missing folder of images."""
    path = child_folder(images, name) if images and name else images
    return SlabFolder(path or (images or expected) / name, images_in(path))


def _split_of(stem: str) -> str:
    share = int.from_bytes(blake2b(stem.encode(), digest_size=8).digest()) / 2**64
    if share < _VAL:
        return "val"
    return "test" if share < _VAL + _TEST else "train"


FOLDER = DataSet(
    name="folder",
    about="your own images",
    list_cases=lambda root, _, slab, skip_incomplete: list_user_folder(root, slab, skip_incomplete),
    subsets={None: Subset()},
    pitch=lambda _, root: set_pitch(root),  # synthetic eyes that lie in a folder
)
