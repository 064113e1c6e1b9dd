"""Which files belong to one eye: its masks, or the image that they are predicted from."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s2a_jax.data.dicom import is_dicom, read_dicom
from s2a_jax.data.folders import first_few, id_key, images_in
from s2a_jax.data.images import EXTENSIONS, binary_mask, combined_mask, read_image
from s2a_jax.data.tiff_pitch import tiff_pitch
from s2a_jax.errors import UserError


@dataclass(frozen=True)
class EyeFiles:
    """The files of one eye; either an image or masks.

    Attributes:
        id: file name without extension, and without _rv or _faz.
        rv: vessel mask.
        faz: FAZ mask.
        combined: mask of both (0, 100 FAZ, 255 vessel).
        image: the en-face image.
    """

    id: str
    rv: Path | None = None
    faz: Path | None = None
    combined: Path | None = None
    image: Path | None = None

    def read_masks(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The masks (rv, faz), bool [H, W], or None for one that is not there."""
        if self.combined:
            return combined_mask(self.combined)
        return (
            binary_mask(self.rv) if self.rv else None,
            binary_mask(self.faz) if self.faz else None,
        )

    def read_image(self) -> np.ndarray:
        """The image, float32 [H, W] in [0, 1]."""
        return read_dicom(self.image).image if is_dicom(self.image) else read_image(self.image)

    def told(self) -> tuple[tuple[float, float] | None, str | None, str]:
        """What the files tell: pitch (down, across) in um, laterality, and which kind tells it."""
        if self.image and is_dicom(self.image):
            eye = read_dicom(self.image)
            return eye.um_per_px, eye.laterality, "DICOM"
        paths = [path for path in (self.image, self.combined, self.rv, self.faz) if path]
        pitches = (tiff_pitch(path) for path in paths)
        return next((pitch for pitch in pitches if pitch), None), None, "TIFF"


def eyes_with_masks(rv: Path | None, faz: Path | None) -> list[EyeFiles]:
    """Pairs the masks of two folders by name.

    Args:
        rv: folder of vessel masks; where files end in _rv, only those are taken. Or one file.
        faz: the same for the FAZ, with _faz.

    Raises:
        UserError: nothing found, or two folders without a name in common.
    """
    if rv and faz and rv.is_file() and faz.is_file():
        return [EyeFiles(rv.stem.removesuffix("_rv"), rv=rv, faz=faz)]
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


def eyes_with_images(paths: Iterable[Path]) -> list[EyeFiles]:
    """Image files, and all images (also DICOM) of folders.

    Raises:
        UserError: a folder without an image, or two images of one name.
    """
    eyes: dict[str, EyeFiles] = {}
    for path in paths:
        files = [path]
        if path.is_dir():
            files = [
                file
                for file in sorted(path.iterdir())
                if not file.name.startswith(".")
                and (file.suffix.lower() in EXTENSIONS or is_dicom(file))
            ]
            if not files:
                raise UserError(f"The folder {path} holds no image file.")
        for file in files:
            if file.stem in eyes:
                raise UserError(
                    f"{eyes[file.stem].image} and {file} have one name, and would be one eye; "
                    "rename one of them."
                )
            eyes[file.stem] = EyeFiles(file.stem, image=file)
    return list(eyes.values())


def _masks(path: Path | None, suffix: str, flag: str) -> dict[str, Path]:
    if path is None:
        return {}
    if path.is_file():
        return {path.stem.removesuffix(suffix): path}
    if not path.is_dir():
        raise UserError(f"{flag}={path} does not exist; give a folder of masks, or one mask.")
    found = images_in(path, suffix) or images_in(path)
    if not found:
        raise UserError(f"{flag}={path} holds no image file; expected masks as PNG, BMP or TIFF.")
    return found
