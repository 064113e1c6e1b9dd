"""Lists a user's own folder of images and masks, split already or not."""

from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from s2a_jax.data.folders import SPLITS, Listing, SplitFiles, child_folder, images_in, pair_splits
from s2a_jax.data.layouts import SPLIT_LAYOUTS, existing_folder, has_layout, list_splits
from s2a_jax.errors import UserError

_IMAGES = ("images", "image", "img")
_BOTH = ("masks", "mask")
_RV = ("rv", "vessel", "label_RV", "gt_VES", "GT_LargeVessel")
_FAZ = ("faz", "label_FAZ", "gt_FAZ")
_UNSPLIT = (
    "images/ with masks/<stem>.png (0, 100 FAZ, 255 vessel), masks/<stem>_rv.png and "
    "<stem>_faz.png, or the folders rv/ and faz/"
)
_HELP = "Arrange the files as data/README.md tells, and pass --config.data.root=DIR."
_VAL, _TEST = 0.1, 0.2  # shares of a folder that is not split


def list_user_folder(root: str | Path) -> Listing:
    """Lists {train,val,test} folders in any known layout, or a folder without splits.

    Without splits, a case's split follows from a hash of its name alone, about 70 % train, 10 %
    val and 20 % test: it stays the same when other images come or go.  Images of one eye that have
    different names may fall into different splits; make split folders to keep them together.

    Args:
      root: the folder.

    Raises:
      UserError: nothing recognised, no train case, or two files for one image or mask.
    """
    root = existing_folder(root, _HELP)
    for layout in SPLIT_LAYOUTS:
        if has_layout(root, layout):
            return list_splits(root, layout)
    images = images_in(child_folder(root, *_IMAGES))
    masks = child_folder(root, *_BOTH)
    files = SplitFiles(
        images,
        rv=images_in(masks, "_rv") or images_in(child_folder(root, *_RV)),
        faz=images_in(masks, "_faz") or images_in(child_folder(root, *_FAZ)),
        combined=images_in(masks),
    )
    if not images or not (files.rv or files.faz or files.combined):
        looked_for = "; ".join((_UNSPLIT, *(layout.name for layout in SPLIT_LAYOUTS)))
        raise UserError(f"No images with masks in {root}; looked for: {looked_for}. {_HELP}")
    groups = {split: replace(files, images={}) for split in SPLITS}
    for stem, path in images.items():
        groups[_split_of(stem)].images[stem] = path
    listing = pair_splits(root, _UNSPLIT, groups)
    note = f"{root} has no split folders: cases were split by a hash of their names."
    return replace(listing, notes=(note, *listing.notes))


def _split_of(stem: str) -> str:
    share = int.from_bytes(blake2b(stem.encode(), digest_size=8).digest()) / 2**64
    if share < _VAL:
        return "val"
    return "test" if share < _VAL + _TEST else "train"
