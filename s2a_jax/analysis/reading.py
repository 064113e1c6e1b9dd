"""Files of one image on their way into a network."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from s2a_jax.analysis.analysis import EyeFacts
from s2a_jax.errors import UserError
from s2a_jax.inference.journal import read_states
from s2a_jax.inference.pieces import Prepared
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.contents import Contents
from s2a_jax.inputs.dicom_source import Source, read_sources
from s2a_jax.inputs.image_files import ImageFiles
from s2a_jax.inputs.notes import Note, note_lines
from s2a_jax.inputs.picture import Place
from s2a_jax.inputs.slabs import first_slab
from s2a_jax.quality.frame import crop_frame

UNKNOWN = (
    "predicted at its own size, since its pixel pitch is unknown: give --um-per-px or --field-mm"
)
"""Note on an image whose pitch is unknown, for a network that knows its own."""


class Read(NamedTuple):
    """What is known of an image before it is predicted.

    Attributes:
        files: its files.
        states: `Finished.read`, of the time before they were read.
        image: float32 [H, W] or [H, W, C] in [0, 1].
        eye: what is known beside the image.
        changes: what reading had to change.
        notes: the same, and what prediction has to change.
        place: where the image lies in its file, before its pixels became square.
        sources: what a DICOM segmentation takes from each slab's file; () if none is written.
    """

    files: ImageFiles
    states: list[list[Any]]
    image: np.ndarray
    eye: EyeFacts
    changes: tuple[Note, ...]
    notes: tuple[Note, ...]
    place: Place
    sources: tuple[Source, ...]

    @property
    def picture(self) -> np.ndarray:
        """The image, float32 [H, W]; with several slabs the first."""
        return first_slab(self.image)


def read_image(
    files: ImageFiles,
    model: Segmenter,
    facts: Callable[[Contents], EyeFacts],
    *,
    tta: bool,
    about: tuple[Any, ...] = (),
    dicom_seg: bool = False,
) -> tuple[Read, Prepared]:
    """Reads an image without the frame of a screenshot, and prepares it for a network.

    Args:
        files: of the image.
        model: the network.
        facts: contents of the files -> what is known about the eye.
        tta: whether to average over the symmetries.
        about: as for `read_states`.
        dicom_seg: whether to read what a DICOM segmentation takes from DICOM files.

    Raises:
        UserError: the image or what is known about it cannot be used; the message names the file.
    """
    states = []
    with contextlib.suppress(OSError):  # a file is missing: `files.read` says so
        states = read_states(files, about)
    contents = files.read(crop_frame)
    sources = read_sources(files.images) if dicom_seg else ()
    try:
        eye = facts(contents)
        prepared = model.prepare(contents.image, um_per_px=eye.um_per_px, tta=tta)
    except UserError as error:
        changed = note_lines(contents.notes)
        raise UserError(" ".join((f"{files.image}: {error}", *changed))) from None
    notes = contents.notes
    if prepared.scale.is_resampled:
        notes = (*notes, Note(files.image, prepared.scale.describe()))
    elif eye.um_per_px is None and model.pitches_um is not None:
        notes = (*notes, Note(files.image, UNKNOWN))
    one = Read(files, states, contents.image, eye, contents.notes, notes, contents.place, sources)
    return one, prepared
