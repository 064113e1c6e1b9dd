"""Layouts in which every split has a folder of its own, and how to list their cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s2a_jax.data.pairing import Listing, SlabFolder, SplitFiles, pair_splits, with_slabs
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import child_folder, images_in

_SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


class NotRecognisedError(UserError):
    """A folder holds nothing like the data set; any other error says more about the folder."""


@dataclass(frozen=True)
class SplitLayout:
    """Names inside each split folder; a mask is <folder>/<stem><suffix>.<extension>.

    Attributes:
        name: the layout as messages show it.
        image: folder of the images below the split's; it may be nested (`img/SCC`) and may hold
            `{split}`, the split's own folder name.
        rv, faz, combined: folder and suffix of each kind of mask, or None.
        threshold: lowest value inside a mask; None: masks hold two values only.
    """

    name: str
    image: str
    rv: tuple[str, str] | None = None
    faz: tuple[str, str] | None = None
    combined: tuple[str, str] | None = None
    threshold: int | None = None


OURS = SplitLayout(
    "{train,val,test}/{images,masks}, masks/<stem>.png or masks/<stem>_rv.png and <stem>_faz.png",
    image="images",
    rv=("masks", "_rv"),
    faz=("masks", "_faz"),
    combined=("masks", ""),
)
SPLIT_LAYOUTS = (
    OURS,
    SplitLayout(
        "{train,val,test}/{image,label_RV,label_FAZ}",
        image="image",
        rv=("label_RV", ""),
        faz=("label_FAZ", ""),
    ),
    SplitLayout("{train,val,test}/{image,label}, vessels only", image="image", rv=("label", "")),
    SplitLayout(
        "{train,test}/{img,gt_VES,gt_FAZ}", image="img", rv=("gt_VES", ""), faz=("gt_FAZ", "")
    ),
    SplitLayout("{train,valid,test}/{img,gt}", image="img", combined=("gt", "")),
)
"""The recognised layouts, in the order in which they are tried."""


def existing_folder(root: str | Path, remedy: str) -> Path:
    """The absolute path of a folder; checks that it can be read and is not empty.

    Args:
        root: the folder; `~` is the home folder.
        remedy: a sentence that says what to do about a missing or empty folder.

    Raises:
        UserError: the folder is missing, empty, no folder, or cannot be opened.
    """
    root = Path(root).expanduser().absolute()
    if not root.is_dir():
        raise UserError(f"The data folder {root} does not exist or is not a folder. {remedy}")
    try:
        is_empty = not any(root.iterdir())
    except PermissionError:
        raise UserError(
            f"The data folder {root} cannot be opened; change its access rights."
        ) from None
    if is_empty:
        raise UserError(f"The data folder {root} is empty. {remedy}")
    return root


def has_layout(folder: Path, layout: SplitLayout) -> bool:
    """Whether any split folder has the images and one kind of masks of `layout`."""
    masks = [mask[0] for mask in (layout.rv, layout.faz, layout.combined) if mask is not None]
    return any(
        _inner(split, layout.image) and any(_inner(split, mask) for mask in masks)
        for names in _SPLIT_NAMES.values()
        if (split := child_folder(folder, *names)) is not None
    )


def list_slabs(
    places: Sequence[tuple[Path, SplitLayout]], skip_incomplete: bool = False
) -> Listing:
    """Lists the cases of one slab, or of several slabs whose images have the same names.

    Args:
        places: folder and layout of each slab; the masks are those of the first slab.
        skip_incomplete: as for `pair_splits`.

    Raises:
        UserError: as `pair_splits`, or two files for one image or mask.
    """
    folder, layout = places[0]
    groups = {}
    for split, names in _SPLIT_NAMES.items():
        home = child_folder(folder, *names)
        masks = SplitFiles(
            {},
            *(_files_at(home, mask) for mask in (layout.rv, layout.faz, layout.combined)),
            threshold=layout.threshold,
        )
        slabs = [
            _slab(child_folder(place, *names), place / split, at.image) for place, at in places
        ]
        groups[split] = with_slabs(slabs, masks)
    return pair_splits(folder, layout.name, groups, skip_incomplete)


def _slab(home: Path | None, expected: Path, image: str) -> SlabFolder:
    """The images of one slab in one split; `expected` replaces a missing split folder."""
    path = (home or expected) / image.replace("{split}", (home or expected).name)
    return SlabFolder(path, _files_at(home, (image, "")))


def _files_at(home: Path | None, place: tuple[str, str] | None) -> dict[str, Path]:
    """The files at a layout's (folder, suffix) in one split's folder; {} if either is None."""
    if home is None or place is None:
        return {}
    name, suffix = place
    return images_in(_inner(home, name), suffix)


def _inner(split: Path, path: str) -> Path | None:
    """The folder at `path` in a split's folder, or None."""
    folder: Path | None = split
    for part in path.replace("{split}", split.name).split("/"):
        folder = None if folder is None else child_folder(folder, part)
    return folder
