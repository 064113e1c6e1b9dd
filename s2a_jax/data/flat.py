"""Folders of images and masks without split folders."""

from collections.abc import Sequence
from pathlib import Path

from s2a_jax.data.layouts import first_folder, slab_folder
from s2a_jax.data.pairing import SplitFiles, with_slabs
from s2a_jax.inputs.names import images_in

FLAT_LAYOUT = (
    "images/ (or image/, img/) with masks/<stem>.png (0, 100 FAZ, 255 vessel), masks/<stem>_rv.png "
    "and <stem>_faz.png, with gt/ as masks/<stem>.png, or with the folders rv/ (or label/, vessels "
    "only) and faz/"
)
_IMAGES = ("images", "image", "img")
_BOTH = ("masks", "mask", "gt")
_RV = ("rv", "vessel", "label_RV", "gt_VES", "GT_LargeVessel", "label", "labels")
_FAZ = ("faz", "label_FAZ", "gt_FAZ")


def is_flat(folder: Path) -> bool:
    """Whether a folder of images and a folder of masks lie side by side in `folder`."""
    has_images = first_folder(folder, _IMAGES) is not None
    return has_images and first_folder(folder, (*_BOTH, *_RV, *_FAZ)) is not None


def flat_files(folder: Path, slabs: Sequence[str]) -> SplitFiles:
    """The images and masks of a folder without split folders.

    Args:
        folder: the folder.
        slabs: names of the slabs' folders below the folder of images; "": that folder itself.

    Raises:
        UserError: one image or mask has two files.
    """
    masks, images = first_folder(folder, _BOTH), "|".join(_IMAGES)
    files = SplitFiles(
        {},
        rv=images_in(masks, "_rv") or images_in(first_folder(folder, _RV)),
        faz=images_in(masks, "_faz") or images_in(first_folder(folder, _FAZ)),
        combined=images_in(masks),
    )
    places = (f"{images}/{name}" if name else images for name in slabs)
    return with_slabs([slab_folder(folder, place) for place in places], files)
