"""Decoded cases in memory: images, masks, and which masks exist."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from rich.progress import Progress

from s2a_jax.console import make_console
from s2a_jax.data.pairing import CaseFiles
from s2a_jax.errors import UserError
from s2a_jax.inputs.contents import read_contents
from s2a_jax.inputs.images import unit_pixels
from s2a_jax.inputs.masks import FAZ_VALUE, resize_mask
from s2a_jax.inputs.notes import Note
from s2a_jax.inputs.slabs import resize_slabs

T = TypeVar("T")

_THREADS = 4
_QUIET_SECONDS = 1.0  # a progress bar appears only after this time


class Row(NamedTuple):
    """Image and masks of one case as arrays.

    Attributes:
        image: uint8, or float32 in [0, 1], [H, W], or [H, W, C] with C > 1 slabs.
        rv: uint8 [H, W] in {0, 1}; all 0 without a mask.
        faz: the same for the FAZ.
    """

    image: np.ndarray
    rv: np.ndarray
    faz: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes of the three arrays."""
        return sum(array.nbytes for array in self)


class Cases(Protocol):
    """N cases of one size, in memory (`CaseSet`) or not (`rows.LazyCaseSet`)."""

    ids: tuple[str, ...]
    has_rv: np.ndarray
    has_faz: np.ndarray
    native_sizes: np.ndarray
    notes: tuple[Note, ...]
    digests: tuple[str, ...]
    image_shape: tuple[int, ...]
    image_dtype: np.dtype

    def __len__(self) -> int:
        """Number of cases."""

    def row(self, index: int) -> Row:
        """Image and masks of one case."""


@dataclass(frozen=True, eq=False)
class CaseSet:
    """N cases of one size in memory.

    Attributes:
        ids: N names, in the order of the arrays.
        images: [N, H, W], or [N, H, W, C] with C > 1 slabs; uint8 (value / 255 is the intensity)
            where that loses nothing, as with 8-bit files at their native size, and otherwise
            float32 in [0, 1].
        rv: uint8 [N, H, W] in {0, 1}, vessels; all 0 where `has_rv` is false.
        faz: uint8 [N, H, W] in {0, 1}, foveal avascular zone; all 0 where `has_faz` is false.
        has_rv: bool [N], whether the case has a vessel mask.
        has_faz: bool [N], whether the case has a FAZ mask.
        native_sizes: int32 [N, 2], height and width of the files in (square) pixels.
        notes: what reading the files had to change or choose.
        digests: fingerprint of each case; () where nobody compares them.
    """

    ids: tuple[str, ...]
    images: np.ndarray
    rv: np.ndarray
    faz: np.ndarray
    has_rv: np.ndarray
    has_faz: np.ndarray
    native_sizes: np.ndarray
    notes: tuple[Note, ...] = ()
    digests: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self.images.shape[1:]

    @property
    def image_dtype(self) -> np.dtype:
        """Type of the images."""
        return self.images.dtype

    def row(self, index: int) -> Row:
        """Image and masks of one case."""
        return Row(self.images[index], self.rv[index], self.faz[index])


def load_cases(files: Sequence[CaseFiles], size: int) -> CaseSet:
    """Reads all images and masks, and resizes those of another size.

    A bar on standard error shows the progress if this takes long.

    Args:
        files: the cases to read; may be empty.
        size: height and width of the result in pixels; an image that is not square is stretched.

    Returns:
        The cases in the order of `files`, H = W = `size`.

    Raises:
        UserError: a file cannot be read or has unexpected values, a mask or slab differs in size
            from its image, or there are combined masks but none holds a FAZ.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        decoded = pool.map(lambda case: resized(read_case(case), size), files)
        cases = list(with_progress(decoded, total=len(files)))
    check_combined(files, [case.faz is not None and case.faz.any() for case in cases])
    return stacked([case.id for case in files], cases, size)


class Case(NamedTuple):
    """One decoded case; a missing mask is None.

    Attributes:
        image: float32 in [0, 1], or uint8, [H, W], or [H, W, C] with C > 1 slabs.
        rv: bool [H, W].
        faz: bool [H, W].
        native_size: height and width of the files in (square) pixels.
        notes: what reading the files had to change or choose.
    """

    image: np.ndarray
    rv: np.ndarray | None
    faz: np.ndarray | None
    native_size: tuple[int, int]
    notes: tuple[Note, ...] = ()


def read_case(files: CaseFiles) -> Case:
    """Reads the files of one case at their own size.

    Raises:
        UserError: a file cannot be read, has unexpected values, or a mask or slab has another size.
    """
    contents = read_contents(
        [files.image, *files.further],
        rv=files.rv,
        faz=files.faz,
        combined=files.combined,
        classes=files.classes,
        threshold=files.threshold,
    )
    return Case(contents.image, contents.rv, contents.faz, contents.size, contents.notes)


def resized(case: Case, size: int | None) -> Case:
    """The case at `size` x `size` pixels, or its own size for None.

    The image becomes uint8 where that loses nothing.
    """
    image, rv, faz = case.image, case.rv, case.faz
    if size is not None and image.shape[:2] != (size, size):
        image = resize_slabs(unit_pixels(image), (size, size))
        rv, faz = (None if mask is None else resize_mask(mask, (size, size)) for mask in (rv, faz))
    return Case(_compact(image), rv, faz, case.native_size, case.notes)


def stacked(ids: Sequence[str], cases: Sequence[Case], size: int, slabs: int = 1) -> CaseSet:
    """Stacks cases of `size` x `size` pixels; `slabs` gives the shape of an empty set."""
    empty = (size, size, slabs) if slabs > 1 else (size, size)
    shape = cases[0].image.shape if cases else empty
    empty_image = np.zeros((0, *shape), np.uint8)
    rv, faz = (np.zeros((len(cases), size, size), np.uint8) for _ in range(2))
    for index, case in enumerate(cases):
        if case.rv is not None:
            rv[index] = case.rv
        if case.faz is not None:
            faz[index] = case.faz
    return CaseSet(
        ids=tuple(ids),
        images=_joined([empty_image, *(case.image[None] for case in cases)]),
        rv=rv,
        faz=faz,
        has_rv=np.array([case.rv is not None for case in cases], bool),
        has_faz=np.array([case.faz is not None for case in cases], bool),
        native_sizes=np.array([case.native_size for case in cases], np.int32).reshape(-1, 2),
        notes=tuple(note for case in cases for note in case.notes),
    )


def check_combined(files: Sequence[CaseFiles], show_faz: Sequence[bool]) -> None:
    """Raises a UserError if there are combined masks but none of them holds a FAZ.

    Args:
        files: the cases.
        show_faz: whether the masks of each case show a FAZ.
    """
    # Vessel masks in place of combined masks would pass for eyes without a FAZ, and a model would
    # learn to find none.
    pairs = [
        (file.combined, shows_faz)
        for file, shows_faz in zip(files, show_faz, strict=True)
        if file.combined is not None
    ]
    if pairs and not any(shows_faz for _, shows_faz in pairs):
        raise UserError(
            f"None of the {len(pairs)} combined masks, such as {pairs[0][0]}, holds the FAZ value "
            f"{FAZ_VALUE}. If they show vessels only, rename their folder to label, or store them "
            "as masks/<stem>_rv.png."
        )


def _compact(image: np.ndarray) -> np.ndarray:
    """Float32 in [0, 1] -> uint8 where that gives back exactly the same image."""
    levels = np.rint(image * 255).astype(np.uint8)
    return levels if (unit_pixels(levels) == image).all() else image


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenates stacks of images: uint8 if all are, float32 otherwise."""
    if any(part.dtype == np.float32 for part in parts):
        parts = [unit_pixels(part) for part in parts]
    return np.concatenate(parts)


def with_progress(cases: Iterable[T], total: int) -> Iterator[T]:
    """Yields one object a case; a terminal shows a bar once that takes long."""
    start = time.monotonic()
    progress = Progress(console=make_console(stderr=True), transient=True)
    task = progress.add_task("Reading images", total=total)
    is_shown = False
    try:
        for case in cases:
            yield case
            progress.advance(task)
            is_late = time.monotonic() - start > _QUIET_SECONDS
            if is_late and not is_shown and progress.console.is_terminal:
                progress.start()
                is_shown = True
    finally:
        if is_shown:
            progress.stop()
