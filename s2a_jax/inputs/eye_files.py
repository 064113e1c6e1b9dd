"""Which files belong to one eye: its masks, or the image that they are predicted from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.inputs.dicom import is_dicom, read_dicom
from s2a_jax.inputs.images import EXTENSIONS, binary_mask, combined_mask, read_image
from s2a_jax.inputs.names import first_few, id_key, images_in, without_ending
from s2a_jax.inputs.slabs import read_slabs
from s2a_jax.inputs.tiff import tiff_pitch

PREDICTED = ("rv", "faz", "overlay")
"""What `predict` makes of an image: <image>_<one of these>.png."""


@dataclass(frozen=True)
class EyeFiles:
    """The files of one eye; either an image or masks.

    Attributes:
        id: file name without extension, and without _rv or _faz.
        rv: vessel mask.
        faz: FAZ mask.
        combined: mask of both (0, 100 FAZ, 255 vessel).
        image: the en-face image; of several slabs the first.
        further: the other slabs, in their order.
    """

    id: str
    rv: Path | None = None
    faz: Path | None = None
    combined: Path | None = None
    image: Path | None = None
    further: tuple[Path, ...] = ()

    @property
    def images(self) -> tuple[Path, ...]:
        """The files of the slabs, in their order; none where the eye has masks."""
        return (self.image, *self.further) if self.image else ()

    def read_masks(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The masks (rv, faz), bool [H, W], or None for one that is not there."""
        if self.combined:
            return combined_mask(self.combined)
        return (
            binary_mask(self.rv) if self.rv else None,
            binary_mask(self.faz) if self.faz else None,
        )

    def read_image(self) -> np.ndarray:
        """The image, float32 [H, W] in [0, 1], or [H, W, C] of C slabs."""
        return read_slabs(self.images, _read)

    def told(self) -> tuple[tuple[float, float] | None, str | None, str]:
        """What the files tell: pitch (down, across) in um, laterality, and which kind tells it."""
        if self.image and is_dicom(self.image):
            eye = read_dicom(self.image)
            return eye.um_per_px, eye.laterality, "DICOM"
        paths = [path for path in (self.image, self.combined, self.rv, self.faz) if path]
        pitches = (tiff_pitch(path) for path in paths)
        return next((pitch for pitch in pitches if pitch), None), None, "TIFF"


def _read(path: Path) -> np.ndarray:
    return read_dicom(path).image if is_dicom(path) else read_image(path)


def eyes_with_masks(rv: Path | None, faz: Path | None) -> list[EyeFiles]:
    """Pairs the masks of two folders by name.

    Args:
        rv: folder of vessel masks; where files end in _rv, only those are taken. Or one file.
        faz: the same for the FAZ, with _faz.

    Raises:
        UserError: nothing found, or two folders without a name in common.
    """
    if rv and faz and rv.is_file() and faz.is_file():
        return [EyeFiles(without_ending(rv.stem, "_rv") or rv.stem, rv=rv, faz=faz)]
    rvs, fazs = _masks(rv, "_rv", "--rv"), _masks(faz, "_faz", "--faz")
    if rvs and fazs and not rvs.keys() & fazs.keys():
        raise UserError(
            f"No mask of --rv={rv} ({first_few(sorted(rvs))}) is called as one of --faz={faz} "
            f"({first_few(sorted(fazs))}); the two masks of an eye carry one name."
        )
    ids = sorted(rvs.keys() | fazs.keys(), key=id_key)
    return [EyeFiles(id_, rv=rvs.get(id_), faz=fazs.get(id_)) for id_ in ids]


def eyes_with_combined_masks(masks: Path) -> list[EyeFiles]:
    """The masks 0, 100, 255 of a folder, or one file."""
    found = _masks(masks, "", "--masks")
    return [EyeFiles(id_, combined=found[id_]) for id_ in sorted(found, key=id_key)]


def eyes_with_images(given: Iterable[Path]) -> list[EyeFiles]:
    """The images that a command line names.

    Pictures that `predict` made of other ones of these images are left out, and printed.

    Args:
        given: a file; a folder, of which all images are taken, sorted; or for networks of several
            slabs the files of one eye with commas between, or as many folders, which hold the
            slabs of the same eyes under the same names.

    Raises:
        UserError: a folder without an image, two eyes of one name, or an eye that lacks a slab.
    """
    eyes: dict[str, EyeFiles] = {}
    for one in given:
        for eye in _eyes_at(one):
            if eye.id in eyes:
                raise UserError(
                    f"{eyes[eye.id].image} and {eye.image} have one name, and would be one eye; "
                    "rename one of them."
                )
            eyes[eye.id] = eye
    kept = _without_predicted({id_: eye.image for id_, eye in eyes.items()})
    return [eyes[id_] for id_ in kept]


def check_slab_count(eyes: Iterable[EyeFiles], slabs: Sequence[str], weights: Path) -> None:
    """Raises a UserError unless every eye has as many files as a network takes slabs.

    Args:
        eyes: as `eyes_with_images` gives.
        slabs: the names of the network's several slabs, or none.
        weights: of the network.
    """
    expected = f"{','.join(slabs)} of each eye in this order, with commas between the files"
    for eye in eyes:
        if len(eye.images) != (len(slabs) or 1):
            raise UserError(
                f"{','.join(map(str, eye.images))} is {len(eye.images)} file(s), but "
                f"--weights={weights} takes {expected if slabs else 'one image of each eye'}."
            )


def _eyes_at(given: Path) -> list[EyeFiles]:
    """The eyes of one word of a command line."""
    # A name may hold a comma.
    alone = given.exists() or "," not in str(given)
    paths = [given] if alone else [Path(part) for part in str(given).split(",")]
    are_folders = [path.is_dir() for path in paths]
    if not any(are_folders):
        return [EyeFiles(paths[0].stem, image=paths[0], further=tuple(paths[1:]))]
    if not all(are_folders):
        raise UserError(f"{given}: expected files with commas between, or folders, not both.")
    slabs = [_images_of(path) for path in paths]
    for path, files in zip(paths, slabs, strict=True):
        if lacking := sorted(slabs[0].keys() ^ files.keys()):
            raise UserError(
                f"{first_few(lacking)}: {path} and {paths[0]} do not both hold an image of this "
                "name; the slabs of an eye have one name."
            )
    return [
        EyeFiles(id_, image=image, further=tuple(files[id_] for files in slabs[1:]))
        for id_, image in slabs[0].items()
    ]


def _images_of(folder: Path) -> dict[str, Path]:
    """All images of a folder by stem, also DICOM, sorted."""
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        is_image = file.suffix.lower() in EXTENSIONS or is_dicom(file)
        if file.name.startswith(".") or not is_image:
            continue
        if file.stem in files:
            raise UserError(
                f"{files[file.stem]} and {file} have one name, and would be one eye; rename one of "
                "them."
            )
        files[file.stem] = file
    if not files:
        raise UserError(f"The folder {folder} holds no image file.")
    return _without_predicted(files)


def _without_predicted(files: dict[str, Path]) -> dict[str, Path]:
    """The images by stem, without what `predict` made of another one; prints what is left out."""
    predicted = {
        path.with_name(f"{stem}_{kind}.png") for stem, path in files.items() for kind in PREDICTED
    }
    kept = {stem: path for stem, path in files.items() if path not in predicted}
    if left_out := [str(path) for path in files.values() if path in predicted]:
        print(f"{len(left_out)} pictures that predict made are left out: {first_few(left_out)}.")
    return kept


def _masks(path: Path | None, suffix: str, flag: str) -> dict[str, Path]:
    if path is None:
        return {}
    if path.is_file():
        return {without_ending(path.stem, suffix) or path.stem: path}
    if not path.is_dir():
        raise UserError(f"{flag}={path} does not exist; give a folder of masks, or one mask.")
    found = images_in(path, suffix) or images_in(path)
    if not found:
        raise UserError(f"{flag}={path} holds no image file; expected masks as PNG, BMP or TIFF.")
    return found
