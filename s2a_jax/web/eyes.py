"""The work behind the page: from uploads and choices to analyses."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from s2a_jax.analysis.analysis import Analysis, EyeFacts, analyze
from s2a_jax.analysis.model import S2ANet
from s2a_jax.biomarkers.measure import isotropic_pitch, parse_laterality
from s2a_jax.errors import UserError
from s2a_jax.inputs.contents import Contents
from s2a_jax.inputs.images import to_unit_float
from s2a_jax.inputs.pitch import FIELD_MM, UM_PER_PX, check_range
from s2a_jax.web.examples import Example, example_image
from s2a_jax.web.uploads import Upload, ids_of, read_upload, remove

FROM_FILE = "from the file"
FIELDS_MM = (2.4, 3.0, 4.5, 6.0, 8.0, 12.0)
UNKNOWN_EYE = "unknown"
EYES = (UNKNOWN_EYE, "OD", "OS")

_FIELD = "field of view"  # source of a pitch


class Choices(NamedTuple):
    """What the user chose for all images of a request.

    Attributes:
        field_mm: side of the square field of view; None: as the file says.
        laterality: "OD", "OS", or None: as the file says.
        tta: average over the eight symmetries.
    """

    field_mm: float | None = None
    laterality: str | None = None
    tta: bool = False


class EyeResult(NamedTuple):
    """One image with its result.

    Attributes:
        id: file name without extension, different from the others'.
        name: file name, for people.
        analysis: the result.
    """

    id: str
    name: str
    analysis: Analysis


class Failure(NamedTuple):
    """A file without a result.

    Attributes:
        name: file name, for people.
        reason: a sentence.
    """

    name: str
    reason: str


def parse_choices(field: object, eye: object, tta: object) -> Choices:
    """Reads the fields of the form.

    Args:
        field: `FROM_FILE`, or a number in mm as text, with or without the unit.
        eye: one of `EYES`.
        tta: whether to average over the symmetries.

    Raises:
        UserError: a field holds something else.
    """
    text = str(field if field is not None else FROM_FILE).strip().lower()
    field_mm = None
    if text not in ("", FROM_FILE):
        try:
            field_mm = float(text.removesuffix("mm").strip().replace(",", "."))
        except ValueError:
            field_mm = math.nan
        low, high = FIELD_MM
        if not low <= field_mm <= high:
            raise UserError(
                f"Field of view {field!r}: expected {low:g} to {high:g} mm, or {FROM_FILE!r}."
            )
    laterality = None if eye in (None, "", UNKNOWN_EYE) else parse_laterality(str(eye))
    return Choices(field_mm, laterality, bool(tta))


def analyze_uploads(
    model: S2ANet,
    uploads: Sequence[Upload],
    choices: Choices,
    advance: Callable[[int], None] = lambda done: None,
) -> Iterator[EyeResult | Failure]:
    """Analyses files one by one, and deletes each when it is read.

    Close the iterator, so that no file is left if it does not reach its end.

    Args:
        model: a network of one slab.
        uploads: the files.
        choices: for all of them.
        advance: called with the number of finished images before each.

    Yields:
        The result of each file, or why it has none: the others have theirs nevertheless.
    """
    try:
        ids = ids_of([upload.name for upload in uploads])
        for done, (id_, upload) in enumerate(zip(ids, uploads, strict=True)):
            advance(done)
            try:
                contents = read_upload(upload)
                remove([upload])
                yield EyeResult(id_, upload.name, _analyze_contents(model, contents, choices))
            except UserError as error:
                yield Failure(upload.name, str(error))
    finally:
        remove(uploads)


def analyze_example(model: S2ANet, example: Example, *, tta: bool) -> EyeResult:
    """Analyses a synthetic eye, whose field of view and laterality are known."""
    pixels = to_unit_float(example_image(example))
    facts = EyeFacts(example.field_mm * 1000 / example.size, _FIELD, example.laterality)
    analysis = _analyze(model, pixels, facts, tta=tta)
    (id_,) = ids_of([example.name])
    return EyeResult(id_, example.name, analysis)


def _analyze_contents(model: S2ANet, contents: Contents, choices: Choices) -> Analysis:
    pitch, source = contents.um_per_px, contents.pitch_kind
    if choices.field_mm is not None:
        across = tuple(choices.field_mm * 1000 / side for side in contents.size)
        try:
            pitch, source = isotropic_pitch(across), _FIELD
        except UserError:
            height, width = contents.size
            raise UserError(
                f"The image is {width}x{height} pixels, but a field of view of "
                f"{choices.field_mm:g} mm is square; crop it, or choose {FROM_FILE!r}."
            ) from None
    check_range(f"Pixel pitch ({source}) um_per_px", pitch, UM_PER_PX, "um")
    laterality = choices.laterality or contents.laterality
    if contents.laterality not in (None, laterality):
        raise UserError(
            f"The file says {contents.laterality}, but {laterality} is chosen; choose "
            f"{UNKNOWN_EYE!r} to take the file's."
        )
    notes = tuple(note.sentence for note in contents.notes)
    facts = EyeFacts(pitch, source, laterality)
    return _analyze(model, contents.image, facts, tta=choices.tta, notes=notes)


def _analyze(
    model: S2ANet, image: np.ndarray, eye: EyeFacts, *, tta: bool, notes: tuple[str, ...] = ()
) -> Analysis:
    computed = model.compute(image, um_per_px=eye.um_per_px, tta=tta)
    return analyze(image, computed, eye, trained_um=model.pitches_um, notes=notes)
