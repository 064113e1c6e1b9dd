"""Layouts in which every split has a folder of its own, and how to list their cases."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from s2a_jax.data.pairing import (
    Listing,
    SlabFolder,
    SplitFiles,
    pair_splits,
    unused_masks,
    with_slabs,
)
from s2a_jax.data.splits import (
    ALL,
    SPLITS,
    Wanted,
    candidates_for,
    namesakes,
    only_one,
    split_folders,
)
from s2a_jax.errors import UserError
from s2a_jax.files import full_path
from s2a_jax.inputs.names import (
    child_folder,
    contents_of,
    file_name_of,
    folders_in,
    images_in,
    name_of,
)
from s2a_jax.inputs.result_files import ENDINGS

_DEPTH = 2  # how far below the given folder a data set may lie


class NotRecognisedError(UserError):
    """A folder holds nothing like the data set; any other error says more about the folder."""


@dataclass(frozen=True)
class SplitLayout:
    """Names inside each split folder; a mask is <folder>/<stem><suffix>.<extension>.

    A folder may be nested (`img/SCC`), have several names of which the first one that exists counts
    (`image|images`), and hold `{split}`, the split's own folder name.

    Attributes:
        name: the layout as messages show it.
        image: folder of the images below the split's.
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
    image="images|image|img",
    rv=("masks", "_rv"),
    faz=("masks", "_faz"),
    combined=("masks", ""),
)
SPLIT_LAYOUTS = (
    OURS,
    SplitLayout(
        "{train,val,test}/{image,label_RV,label_FAZ}",
        image="image|images|img",
        rv=("label_RV", ""),
        faz=("label_FAZ", ""),
    ),
    SplitLayout(
        "{train,val,test}/{images,rv,faz}",
        image="images|image|img",
        rv=("rv|vessel", ""),
        faz=("faz", ""),
    ),
    SplitLayout(
        "{train,val,test}/{image,label}, vessels only",
        image="image|images|img",
        rv=("label|labels", ""),
    ),
    SplitLayout(
        "{train,test}/{img,gt_VES,gt_FAZ}",
        image="img|image|images",
        rv=("gt_VES", ""),
        faz=("gt_FAZ", ""),
    ),
    SplitLayout("{train,valid,test}/{img,gt}", image="img|image|images", combined=("gt", "")),
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
    root = full_path(root)
    if not root.is_dir():
        raise UserError(f"The data folder {root} does not exist or is not a folder. {remedy}")
    if not contents_of(root):
        raise UserError(f"The data folder {root} is empty. {remedy}")
    return root


def levels(root: Path) -> Iterator[list[Path]]:
    """The folder itself, then the folders in it, then those one level deeper."""
    level = [root]
    for _ in range(_DEPTH + 1):
        yield level
        level = [child for folder in level for child in folders_in(folder)]


def has_layout(folder: Path, layout: SplitLayout) -> bool:
    """Whether any split folder has the images and one kind of masks of `layout`."""
    return any(fits(split, layout) for split in split_folders(folder).values())


def layout_for(folder: Path, layouts: Sequence[SplitLayout], wanted: Wanted) -> SplitLayout | None:
    """The first layout that fits the wanted split's folder, or else train's, or any of them."""
    folders = split_folders(folder)
    name = wanted.split or wanted.train_split
    homes = [candidates_for(name, folders), candidates_for(SPLITS[0], folders), folders]
    for splits in homes[2:] if name == ALL else homes:
        for layout in layouts:
            if any(fits(folders[split], layout) for split in splits):
                return layout
    return None


def image_names(folder: Path, layout: SplitLayout) -> set[str]:
    """The names of the images of all splits."""
    homes = split_folders(folder).values()
    return {stem for home in homes for stem in _files_at(home, (layout.image, ""))}


def list_slabs(places: Sequence[tuple[Path, SplitLayout]], wanted: Wanted) -> Listing:
    """Lists the cases of one slab, or of several slabs whose images have the same names.

    Args:
        places: folder and layout of each slab; the masks are those of the first slab.
        wanted: the cases to list.

    Raises:
        UserError: as `pair_splits`; two files for one image or mask; or it is not clear which
            folder holds the wanted cases.
    """
    folder, layout = places[0]
    homes = [_homes(*place) for place in places]
    known = list(dict.fromkeys(split for one in homes for split in one))
    known.sort(key=lambda split: SPLITS.index(split) if split in SPLITS else len(SPLITS))
    if wanted.split not in (None, ALL):
        chosen = only_one(candidates_for(wanted.split, homes[0]), homes[0])
        wanted = replace(wanted, split=chosen or wanted.split).among(known)
    names = {split: split for split in wanted.reads(known)}
    unused = []
    if wanted.split is None:
        for split in SPLITS[1:]:
            only_one(namesakes(split, homes[0]), homes[0])
        names["train"] = _train_folder(folder, homes[0], known, wanted.train_split)
        unused = [split for split in known if split not in names.values()]
    groups = {}
    for split, name in names.items():
        home = homes[0].get(name)
        masks = SplitFiles(
            {},
            *(_files_at(home, mask) for mask in (layout.rv, layout.faz, layout.combined)),
            threshold=layout.threshold,
        )
        slabs = [
            slab_folder(own.get(name, place / name), at.image)
            for own, (place, at) in zip(homes, places, strict=True)
        ]
        groups[split] = with_slabs(slabs, masks)
    listing = pair_splits(folder, "Split folders", layout.name, groups, wanted, known)
    notes = [f"Split folders that are not used: {', '.join(unused)}."] if unused else []
    return replace(listing, notes=(*notes, *unused_masks(folder, groups), *listing.notes))


def _train_folder(
    folder: Path, homes: Mapping[str, Path], known: Sequence[str], train_split: str
) -> str:
    """The split that holds the training cases; "train" if there is none to choose from."""
    # The default is no choice between `train` and `training`.
    candidates_of = namesakes if train_split == SPLITS[0] else candidates_for
    found = only_one(candidates_of(train_split, homes), homes)
    candidates = [split for split in known if split not in SPLITS[1:]]
    if found in candidates or (found is None and train_split == SPLITS[0] and not candidates):
        return found or train_split
    if found is not None:
        fact = f"config.data.train_split={train_split}: {folder} keeps {found} apart from training"
    else:
        fact = f"{folder} has no split folder {train_split}, only {', '.join(known)}"
    if not candidates:
        raise UserError(f"{fact}; add a folder of training cases.")
    raise UserError(
        f"{fact}; choose the training cases with "
        f"--config.data.train_split={shlex.quote(candidates[0])}."
    )


def _homes(place: Path, layout: SplitLayout) -> Mapping[str, Path]:
    """The split folders of a place; those with names of their own only if they fit the layout."""
    return {
        split: home
        for split, home in split_folders(place).items()
        if split in SPLITS or fits(home, layout)
    }


def fits(split: Path, layout: SplitLayout) -> bool:
    """Whether a split's folder has the images and one kind of masks of `layout`."""
    masks = [mask[0] for mask in (layout.rv, layout.faz, layout.combined) if mask is not None]
    return _inner(split, layout.image) is not None and any(
        _inner(split, mask) is not None for mask in masks
    )


def slab_folder(home: Path, image: str) -> SlabFolder:
    """The images of one slab; a folder that does not exist has the first of its names.

    Args:
        home: the folder of a split, or one without splits.
        image: path below it, as in `SplitLayout`.

    Raises:
        UserError: two images have one name, or results lie among the images: their masks and
            overlays would pass for images, and other masks for theirs.
    """
    path = home
    for part in image.replace("{split}", home.name).split("/"):
        names = part.split("|")
        path = (first_folder(path, names) if path.is_dir() else None) or path / names[0]
    files = images_in(path if path.is_dir() else None)
    written = {f"{file_name_of(stem)}{end}": stem for stem in files for end in ENDINGS}
    for file in files.values():
        if name_of(file) in written:
            raise UserError(
                f"{file} looks like a result of predict or analyze for "
                f"{files[written[name_of(file)]].name}; keep results in another folder than the "
                "images."
            )
    return SlabFolder(path, files)


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
        folder = None if folder is None else first_folder(folder, part.split("|"))
    return folder


def first_folder(folder: Path, names: Iterable[str]) -> Path | None:
    """The folder in `folder` with the first of `names` that exists; None without one."""
    return next((child for name in names if (child := child_folder(folder, name))), None)
