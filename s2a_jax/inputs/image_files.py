"""The files of one image: its slabs, or masks of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2a_jax.errors import UserError
from s2a_jax.inputs.contents import Contents, read_contents
from s2a_jax.inputs.dicom import is_dicom
from s2a_jax.inputs.names import (
    contents_of,
    counted,
    first_few,
    has_image_name,
    id_key,
    images_in,
    look_alike,
    name_of,
    stem_of,
    without_ending,
)

PREDICTED = ("rv", "faz", "overlay")
"""`predict` writes <image>_<one of these>.png for every image."""


@dataclass(frozen=True)
class ImageFiles:
    """The files of one image: its slabs, or masks of it.

    Attributes:
        id: file name as `stem_of` gives it, without _rv or _faz.
        rv: vessel mask.
        faz: FAZ mask.
        combined: mask of both (0, 100 FAZ, 255 vessel).
        image: the en-face image; the first of several slabs.
        further: the other slabs, in order.
    """

    id: str
    rv: Path | None = None
    faz: Path | None = None
    combined: Path | None = None
    image: Path | None = None
    further: tuple[Path, ...] = ()

    @property
    def images(self) -> tuple[Path, ...]:
        """Files of the slabs, in order; () if there are only masks."""
        return (self.image, *self.further) if self.image else ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files, images first."""
        masks = (self.combined, self.rv, self.faz)
        return (*self.images, *(path for path in masks if path is not None))

    def read(self) -> Contents:
        """Reads all files; see `read_contents`."""
        return read_contents(self.images, rv=self.rv, faz=self.faz, combined=self.combined)


def list_mask_pairs(rv: Path | None, faz: Path | None) -> list[ImageFiles]:
    """Pairs the masks of two folders by name.

    Args:
        rv: folder of vessel masks (only files that end in _rv, if there are any), or one file.
        faz: the same for the FAZ, with _faz.

    Raises:
        UserError: there is no mask, or the folders have no name in common.
    """
    if rv and faz and rv.is_file() and faz.is_file():
        stem = stem_of(rv)
        return [ImageFiles(without_ending(stem, "_rv") or stem, rv=rv, faz=faz)]
    rvs, fazs = _masks(rv, "_rv", "--rv"), _masks(faz, "_faz", "--faz")
    if rvs and fazs and not rvs.keys() & fazs.keys():
        raise UserError(
            f"No mask of --rv={rv} ({first_few(sorted(rvs))}) has the name of one of --faz={faz} "
            f"({first_few(sorted(fazs))}); give both masks of an image the same name."
        )
    ids = sorted(rvs.keys() | fazs.keys(), key=id_key)
    return [ImageFiles(id_, rv=rvs.get(id_), faz=fazs.get(id_)) for id_ in ids]


def list_combined_masks(masks: Path) -> list[ImageFiles]:
    """Lists the combined masks (0, 100 FAZ, 255 vessel) of a folder, or one file."""
    found = _masks(masks, "", "--masks")
    return [ImageFiles(id_, combined=found[id_]) for id_ in sorted(found, key=id_key)]


def list_images(given: Iterable[Path]) -> list[ImageFiles]:
    """Lists the images that a command line names.

    Pictures that `predict` wrote for others of these images are left out, and a line says so.

    Args:
        given: files; folders, whose images are taken in order; or, for networks that take several
            slabs, the slabs of one image separated by commas, or as many folders that hold the
            slabs of each image under the same name.

    Raises:
        UserError: a folder without images, two images with one name, or an image that lacks a slab.
    """
    found: dict[str, ImageFiles] = {}
    for argument in given:
        for files in _images_at(argument):
            if files.id in found:
                first, second = found[files.id].image, files.image
                raise UserError(
                    f"{first} and {second} have the same name{look_alike(first, second)}, and so "
                    "would their results; rename one of them."
                )
            found[files.id] = files
    kept = _without_predicted({id_: files.image for id_, files in found.items()})
    return [found[id_] for id_ in kept]


def check_slab_count(images: Iterable[ImageFiles], slabs: Sequence[str], weights: Path) -> None:
    """Raises a UserError unless every image has one file per slab that the network takes.

    Args:
        images: images that `list_images` returned.
        slabs: names of the network's slabs; () for a network of one slab.
        weights: value of --weights, for the message.
    """
    expected = f"{','.join(slabs)} of each eye in this order, separated by commas"
    for files in images:
        if len(files.images) != (len(slabs) or 1):
            raise UserError(
                f"{','.join(map(str, files.images))} is {len(files.images)} file(s), but "
                f"--weights={weights} takes {expected if slabs else 'one image of each eye'}."
            )


def _images_at(given: Path) -> list[ImageFiles]:
    """The images that one argument names."""
    # The name of one file may hold a comma.
    is_one = given.exists() or "," not in str(given)
    paths = [given] if is_one else [Path(part) for part in str(given).split(",")]
    are_folders = [path.is_dir() for path in paths]
    if not any(are_folders):
        return [ImageFiles(stem_of(paths[0]), image=paths[0], further=tuple(paths[1:]))]
    if not all(are_folders):
        raise UserError(f"{given}: expected files or folders separated by commas, not both.")
    slabs = [_images_in(path) for path in paths]
    for path, files in zip(paths, slabs, strict=True):
        if lacking := sorted(slabs[0].keys() ^ files.keys()):
            raise UserError(
                f"{first_few(lacking)}: {path} and {paths[0]} do not both hold an image with this "
                "name; give all slabs of an image the same name."
            )
    return [
        ImageFiles(id_, image=image, further=tuple(files[id_] for files in slabs[1:]))
        for id_, image in slabs[0].items()
    ]


def _images_in(folder: Path) -> dict[str, Path]:
    """All images of a folder by stem, sorted; DICOM files too."""
    files: dict[str, Path] = {}
    for file in contents_of(folder):
        if not has_image_name(file) and (file.name.startswith(".") or not is_dicom(file)):
            continue
        stem = stem_of(file)
        if stem in files:
            raise UserError(
                f"{files[stem]} and {file} have the same name{look_alike(files[stem], file)}, and "
                "so would their results; rename one of them."
            )
        files[stem] = file
    if not files:
        raise UserError(f"The folder {folder} holds no image file.")
    return _without_predicted(files)


def _without_predicted(files: dict[str, Path]) -> dict[str, Path]:
    """The images by stem without pictures that `predict` wrote; prints which are left out."""
    predicted = {
        path.with_name(f"{stem}_{kind}.png") for stem, path in files.items() for kind in PREDICTED
    }
    # `predict` names its pictures in NFC, whatever the form of the image's name.
    is_predicted = {
        stem: path.with_name(name_of(path)) in predicted for stem, path in files.items()
    }
    kept = {stem: path for stem, path in files.items() if not is_predicted[stem]}
    if left_out := [str(path) for stem, path in files.items() if is_predicted[stem]]:
        pictures = counted(len(left_out), "picture")
        print(f"Left out {pictures} that predict wrote: {first_few(left_out)}.")
    return kept


def _masks(path: Path | None, suffix: str, flag: str) -> dict[str, Path]:
    if path is None:
        return {}
    if path.is_file():
        stem = stem_of(path)
        return {without_ending(stem, suffix) or stem: path}
    if not path.is_dir():
        raise UserError(f"{flag}={path} does not exist; give a folder of masks, or one mask.")
    found = images_in(path, suffix) or images_in(path)
    if not found:
        raise UserError(f"{flag}={path} holds no image file; expected masks as PNG, BMP or TIFF.")
    return found
