"""The files of one image: its slabs, or masks of it."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2a_jax.errors import UserError
from s2a_jax.files import full_path
from s2a_jax.inputs.contents import Contents, read_contents
from s2a_jax.inputs.dicom import is_dicom
from s2a_jax.inputs.names import (
    contents_of,
    counted,
    file_name_of,
    first_few,
    has_image_name,
    id_key,
    images_in,
    look_alike,
    name_of,
    nfc,
    stem_of,
    without_ending,
)
from s2a_jax.inputs.picture import Picture
from s2a_jax.inputs.result_files import ENDINGS, has_result_name, holds_results


@dataclass(frozen=True)
class ImageFiles:
    """The files of one image: its slabs, or masks of it.

    Attributes:
        id: file name as `stem_of` gives it, without _rv or _faz; of files found in folders below a
            given one with their folders, such as "site/eye1".
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

    @property
    def names(self) -> list[str]:
        """Names of all files, with the folders that are in `id`."""
        folders = self.id.rpartition("/")
        return [f"{folders[0]}{folders[1]}{name_of(path)}" for path in self.paths]

    def read(self, adjust: Callable[[Picture], Picture] | None = None) -> Contents:
        """Reads all files; see `read_contents`."""
        masks = {"rv": self.rv, "faz": self.faz, "combined": self.combined}
        return read_contents(self.images, **masks, adjust=adjust)


def list_mask_pairs(rv: Path | None, faz: Path | None) -> list[ImageFiles]:
    """Pairs the masks of two folders by name.

    Args:
        rv: folder of vessel masks (only files that end in _rv, if there are any), or one file.
        faz: the same for the FAZ, with _faz.

    Raises:
        UserError: there is no mask, the folders have no name in common, or two files are named
            after different images.
    """
    if rv and faz and rv.is_file() and faz.is_file():
        id_, other = without_ending(stem_of(rv), "_rv"), without_ending(stem_of(faz), "_faz")
        if id_ and other and id_ != other:
            raise UserError(
                f"--rv={rv} and --faz={faz} are named after different images, {id_} and {other}; "
                "give both masks of one image, or rename one."
            )
        if stem_of(rv) != stem_of(faz) and not (id_ and other):
            print(f"{rv.name} and {faz.name} are taken for masks of one eye.")
        return [ImageFiles(id_ or stem_of(rv), rv=rv, faz=faz)]
    rvs, fazs = _masks(rv, "_rv", "--rv"), _masks(faz, "_faz", "--faz")
    if rvs and fazs and not rvs.keys() & fazs.keys():
        raise UserError(
            f"No mask of --rv={rv} ({first_few(sorted(rvs))}) has the name of one of --faz={faz} "
            f"({first_few(sorted(fazs))}); give both masks of an image the same name."
        )
    ids = sorted(rvs.keys() | fazs.keys(), key=id_key)
    return [ImageFiles(id_, rv=rvs.get(id_), faz=fazs.get(id_)) for id_ in ids]


def list_combined_masks(masks: Path) -> list[ImageFiles]:
    """Lists the combined masks (0, 100 FAZ, 255 vessel) of a folder, or one file.

    Masks that are named as those of vessels or of the FAZ alone are left out, and a line says so.

    Raises:
        UserError: there is no other mask.
    """
    found = _masks(masks, "", "--masks")
    single = [
        id_ for id_ in found if any(without_ending(id_, ending) for ending in ("_rv", "_faz"))
    ]
    if single:
        listed = f"{counted(len(single), 'mask')} of vessels or the FAZ alone ({first_few(single)})"
        if len(single) == len(found):
            raise UserError(
                f"--masks={masks}: by name, {listed} and no combined one; give them with --rv and "
                "--faz."
            )
        print(f"Left out, by name: {listed}; --rv and --faz take them.")
    ids = sorted(found.keys() - {*single}, key=id_key)
    return [ImageFiles(id_, combined=found[id_]) for id_ in ids]


def list_images(
    given: Iterable[Path], *, recursive: bool = False, out: Path | None = None
) -> list[ImageFiles]:
    """Lists the images that a command line names.

    Pictures that `predict` or `analyze` wrote are left out, and a line says so: those of others of
    these images, and all that have such a name in a folder that holds a journal or is `out`.

    Args:
        given: files; folders, whose images are taken in order; patterns with *, ? and **; or, for
            networks that take several slabs, the slabs of one image separated by commas, or as many
            folders that hold the slabs of each image under the same name.
        recursive: whether to look in the folders below the given ones too.
        out: folder of results, which --recursive does not look into, unless it is a given one.

    Raises:
        UserError: a folder or pattern without images, or with results alone, two images with one
            name, or an image that lacks a slab.
    """
    found: dict[str, ImageFiles] = {}
    for argument in given:
        for files in _images_at(argument, recursive, out):
            if files.id in found:
                first, second = found[files.id].image, files.image
                raise UserError(
                    f"{first} and {second} have the same name{look_alike(first, second)}, and so "
                    "would their results; rename one of them."
                )
            found[files.id] = files
    kept = _without_results({id_: files.image for id_, files in found.items()}, out)
    return [found[id_] for id_ in kept]


def check_slab_count(
    images: Iterable[ImageFiles], slabs: Sequence[str], weights: str | Path
) -> None:
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


def _images_at(given: Path, recursive: bool, out: Path | None) -> list[ImageFiles]:
    """The images that one argument names."""
    if not given.exists() and glob.has_magic(str(given)):
        return _images_like(given, out)
    # The name of one file may hold a comma.
    is_one = given.exists() or "," not in str(given)
    paths = [given] if is_one else [Path(part) for part in str(given).split(",")]
    are_folders = [path.is_dir() for path in paths]
    if not any(are_folders):
        return [ImageFiles(stem_of(paths[0]), image=paths[0], further=tuple(paths[1:]))]
    if not all(are_folders):
        raise UserError(f"{given}: expected files or folders separated by commas, not both.")
    slabs = [_images_in(path, recursive, out) for path in paths]
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


def _images_like(pattern: Path, out: Path | None) -> list[ImageFiles]:
    """The images whose paths are like a pattern; ids name the folders from its first * on."""
    parts = pattern.parts
    fixed = Path(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])
    paths = (Path(path) for path in sorted(glob.glob(str(pattern), recursive=True)))
    files = _by_id(fixed, (path for path in paths if path.is_file() and _is_image(path)))
    if not files:
        raise UserError(f"No image file is like {pattern}; correct the pattern or the path.")
    return [ImageFiles(id_, image=path) for id_, path in _without_results(files, out).items()]


def _images_in(folder: Path, recursive: bool, out: Path | None) -> dict[str, Path]:
    """All images of a folder by id, sorted; DICOM files too."""
    paths = _below(folder, out) if recursive else contents_of(folder)
    files = _by_id(folder, filter(_is_image, paths))
    if not files:
        below = " (--recursive looks in the folders below it too)" if _has_folders(folder) else ""
        raise UserError(f"The folder {folder} holds no image file{'' if recursive else below}.")
    return _without_results(files, out)


def _has_folders(folder: Path) -> bool:
    return any(path.is_dir() for path in contents_of(folder))


def _is_image(path: Path) -> bool:
    if has_image_name(path):
        return True
    return not path.name.startswith(".") and path.is_file() and is_dicom(path)


def _below(folder: Path, out: Path | None) -> Iterator[Path]:
    """All files below a folder, sorted, without hidden folders and that of the results."""
    results = None if out is None else full_path(out)
    for place, folders, names in os.walk(folder, onerror=_refuse):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and full_path(here / name) != results
        )
        yield from (here / name for name in sorted(names))


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename}: {error.strerror}; change its access rights.") from error


def _by_id(folder: Path, paths: Iterable[Path]) -> dict[str, Path]:
    """Images by their ids, which name the folders from `folder` on."""
    files: dict[str, Path] = {}
    for path in paths:
        id_ = "/".join([*map(nfc, path.relative_to(folder).parts[:-1]), stem_of(path)])
        if id_ in files:
            raise UserError(
                f"{files[id_]} and {path} have the same name{look_alike(files[id_], path)}, and "
                "so would their results; rename one of them."
            )
        files[id_] = path
    return files


def _without_results(files: dict[str, Path], out: Path | None) -> dict[str, Path]:
    """The images by id without pictures that are results; prints which are left out."""
    # Beside the image, or in the folder that was given.
    written = {
        place / f"{file_name_of(name)}{ending}"
        for id_, path in files.items()
        for place, name in ((path.parent, stem_of(path)), (path.parents[id_.count("/")], id_))
        for ending in ENDINGS
    }
    results = {place: _is_of_results(place, out) for place in {p.parent for p in files.values()}}
    # Pictures are named in NFC, whatever the form of the image's name.
    left_out = {
        id_: path
        for id_, path in files.items()
        if path.with_name(name_of(path)) in written
        or (results[path.parent] and has_result_name(path))
    }
    if not left_out:
        return files
    listed = first_few([str(path) for path in left_out.values()])
    if len(left_out) == len(files):
        raise UserError(f"predict or analyze wrote {listed}; name the images instead.")
    pictures = counted(len(left_out), "picture")
    print(f"Left out {pictures} that predict or analyze wrote: {listed}.")
    return {id_: path for id_, path in files.items() if id_ not in left_out}


def _is_of_results(folder: Path, out: Path | None) -> bool:
    return (out is not None and full_path(folder) == full_path(out)) or holds_results(folder)


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
