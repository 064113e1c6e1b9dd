"""Whether an image and its segmentation look like those of an en-face OCT angiogram.

Every measure is compared with a limit that lies between what angiograms and other pictures reach
(`benchmarks/quality.py`, docs/quality.md). A limit that is passed gives a reason with a sentence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from s2a_jax.inputs.images import unit_pixels
from s2a_jax.inputs.pitch import pitches_text
from s2a_jax.quality.measures import (
    FazCertainty,
    PictureMeasures,
    VesselCertainty,
    measure_faz,
    measure_picture,
    measure_vessels,
)
from s2a_jax.quality.pitch_estimate import ERROR_FACTOR, estimate_pitch

Level = Literal["good", "doubtful", "unusable"]

BLANK = "blank"
CONTRAST = "contrast"
SATURATED = "saturated"
DARK_VESSELS = "dark_vessels"
NOISE = "noise"
NOT_OCTA = "not_octa"
FRAME = "frame"
NO_SIGNAL = "no_signal"
BLUR = "blur"
MOTION = "motion"
NO_VESSELS = "no_vessels"
VESSELS_UNSURE = "vessels_unsure"
NO_FAZ = "no_faz"
FAZ_UNSURE = "faz_unsure"
FAZ_PIECES = "faz_pieces"
FAZ_OFF_CENTRE = "faz_off_centre"
PITCH_UNLIKE = "pitch_unlike"
PITCH_CONTRADICTED = "pitch_contradicted"

_BLANK = 3 / 255  # range of intensities
_CONTRAST = 0.4  # range of intensities
_SATURATED = 0.15  # share of the picture
_DARK_VESSELS = -0.12  # balance of lines
_BRIGHT_VESSELS = 0.05  # balance of lines
_LONG = 0.15  # share of the vessels
_FLAT = 0.05  # share of the picture
_NO_SIGNAL = 0.25  # share of the picture
_SLOPE = -3.0  # exponent
_MOTION = 0.3  # difference of correlations
_RV_SHARE = 0.03  # share of the picture
_RV_DICE = 0.85
_FAZ_DICE = 0.9
_FAZ_SECOND = 0.25  # share of the most central piece's area
_FAZ_OFFSET = 0.25  # sides
_UNLIKE = 1.2  # factor between an estimated pitch and the nearest that is known
# Factors between an estimated pitch and one pitch. Estimates on real images are 0.80 to 1.49 of the
# true one, and the commonest mistake is a factor of 2, of which resampling leaves less.
_FINER, _COARSER = 1.4, 1.6
_DEEP = "this may be a deep slab, of which only the FAZ counts"


class Reason(NamedTuple):
    """Why an image is not good.

    Attributes:
        name: one of the constants of this module, such as "blank".
        sentence: what was found, with its number.
    """

    name: str
    sentence: str


@dataclass(frozen=True)
class Quality:
    """How much an image and its segmentation can be trusted.

    Attributes:
        level: "good"; "doubtful": look at the masks before their numbers are used; "unusable": this
            is no angiogram, or one that the network cannot read.
        reasons: why it is not good; () if it is.
        um_per_px: estimated pitch, um; None if it cannot be told, see `pitch_estimate`.
    """

    level: Level
    reasons: tuple[Reason, ...]
    um_per_px: float | None

    @property
    def text(self) -> str:
        """All sentences in a row; "" if the image is good."""
        return " ".join(reason.sentence for reason in self.reasons)


def assess(
    picture: np.ndarray,
    probability: Mapping[str, np.ndarray],
    um_per_px: float | None,
    trained_um: tuple[float, float] | None = None,
) -> Quality:
    """Assesses one image and what a network makes of it.

    Args:
        picture: uint8, or float in [0, 1], [H, W] with sides of 32 pixels or more; one slab.
        probability: {"rv", "faz"}, each float [H, W] in [0, 1]; tasks may be missing.
        um_per_px: side of a pixel in um; None: unknown.
        trained_um: smallest and largest pitch that the network was trained on, um; None: unknown.
    """
    picture = unit_pixels(picture)
    measures = measure_picture(picture)
    vessels = measure_vessels(probability["rv"]) if "rv" in probability else None
    if reasons := _unusable(measures, vessels):
        return Quality("unusable", (*reasons, *_contrast_doubts(measures)), None)
    found = [*_contrast_doubts(measures), *_picture_doubts(measures)]
    estimate = None
    if vessels is not None:
        found += _vessel_doubts(vessels)
        estimate = estimate_pitch(picture, probability["rv"])
        if estimate is not None:
            found += _pitch_doubts(estimate, um_per_px, trained_um, min(picture.shape))
    if "faz" in probability:
        found += _faz_doubts(measure_faz(probability["faz"]))
    return Quality("doubtful" if found else "good", tuple(found), estimate)


def _unusable(picture: PictureMeasures, vessels: VesselCertainty | None) -> tuple[Reason, ...]:
    """At most one reason, since a blank picture or noise may be all of this."""
    if picture.contrast <= _BLANK:
        sentence = (
            f"The picture is blank: 98 % of its intensities lie within {picture.contrast:.1%} of "
            "the range."
        )
        return (Reason(BLANK, sentence),)
    lines = f"{picture.ridges:z.2f}, in angiograms 0.2 to 0.7"
    if picture.ridges < _DARK_VESSELS:
        sentence = (
            f"Lines are darker than their surroundings (balance {lines}): the picture may be "
            f"inverted, or a structural OCT in place of an angiogram; or {_DEEP}."
        )
        return (Reason(DARK_VESSELS, sentence),)
    if picture.ridges >= _BRIGHT_VESSELS:
        return ()
    sentence = f"Bright lines are no stronger than dark ones (balance {lines})"
    if vessels is None or vessels.long < _LONG:
        return (Reason(NOISE, f"{sentence}, and no vessel is long: this may be noise."),)
    return (Reason(NOT_OCTA, f"{sentence}: this may not be an en-face angiogram."),)


def _contrast_doubts(picture: PictureMeasures) -> list[Reason]:
    found = []
    if _BLANK < picture.contrast < _CONTRAST:
        sentence = f"The contrast is low: intensities span {picture.contrast:.0%} of the range."
        found.append(Reason(CONTRAST, sentence))
    if picture.contrast > _BLANK and picture.saturated > _SATURATED:
        sentence = f"{picture.saturated:.0%} of the pixels are white, so their detail is lost."
        found.append(Reason(SATURATED, sentence))
    return found


def _picture_doubts(picture: PictureMeasures) -> list[Reason]:
    found = []
    if picture.flat > _FLAT:
        sentence = (
            f"{picture.flat:.0%} of the picture is flat, as a frame or legend is: crop it to the "
            "en-face picture."
        )
        found.append(Reason(FRAME, sentence))
    if picture.no_signal > _NO_SIGNAL:
        found.append(Reason(NO_SIGNAL, f"{picture.no_signal:.0%} of the picture is black."))
    if picture.slope < _SLOPE:
        sentence = (
            f"The picture lacks detail (its power falls with frequency to the power of "
            f"{picture.slope:.1f}, in angiograms -0.4 to -2.5): it may be blurred."
        )
        found.append(Reason(BLUR, sentence))
    if abs(picture.motion) > _MOTION:
        lines, others = ("rows", "columns") if picture.motion > 0 else ("columns", "rows")
        sentence = (
            f"Some {lines} do not continue their neighbours (their correlation is "
            f"{abs(picture.motion):.2f} lower than that of {others}): the eye moved."
        )
        found.append(Reason(MOTION, sentence))
    return found


def _vessel_doubts(vessels: VesselCertainty) -> list[Reason]:
    found = []
    if vessels.share < _RV_SHARE:
        sentence = (
            f"Vessels cover {vessels.share:.1%} of the picture, in superficial slabs 5 to 11 %; "
            f"{_DEEP}."
        )
        found.append(Reason(NO_VESSELS, sentence))
    if vessels.dice < _RV_DICE:
        sentence = (
            f"The vessels are uncertain: the network expects a Dice of {vessels.dice:.2f}, for "
            f"superficial slabs 0.89 or more; {_DEEP}."
        )
        found.append(Reason(VESSELS_UNSURE, sentence))
    return found


def _faz_doubts(faz: FazCertainty | None) -> list[Reason]:
    if faz is None:
        return [Reason(NO_FAZ, "There is no FAZ.")]
    found = []
    if faz.dice < _FAZ_DICE:
        sentence = f"The FAZ is uncertain: the network expects a Dice of {faz.dice:.2f}."
        found.append(Reason(FAZ_UNSURE, sentence))
    if faz.second > _FAZ_SECOND:
        sentence = (
            f"The FAZ has several pieces (another has {faz.second:.0%} of the most central one's "
            "area); an eye has one."
        )
        found.append(Reason(FAZ_PIECES, sentence))
    if faz.offset > _FAZ_OFFSET:
        sentence = (
            f"The FAZ is {faz.offset:.0%} of the picture's side from its centre: the scan may be "
            "off the fovea, or this is another dark area."
        )
        found.append(Reason(FAZ_OFF_CENTRE, sentence))
    return found


def _pitch_doubts(
    estimate: float, um_per_px: float | None, trained_um: tuple[float, float] | None, side: int
) -> list[Reason]:
    """Doubts about a pitch.

    Args:
        estimate: pitch that the vessels look like, um.
        um_per_px: pitch that is given, um; None if none is.
        trained_um: pitches that the network was trained on, um; None if unknown.
        side: of the picture, the shorter one, px.
    """
    if um_per_px is not None:
        if um_per_px / _FINER <= estimate <= um_per_px * _COARSER:
            return []
        # In mm, since the network's pixels are not always those of the file.
        sentence = (
            f"Vessels look like those of a field of {estimate * side / 1000:.1f} mm (to a factor "
            f"of {ERROR_FACTOR:g}), but {um_per_px * side / 1000:.1f} mm is given: check the field "
            "of view."
        )
        return [Reason(PITCH_CONTRADICTED, sentence)]
    if trained_um is None:
        return []
    low, high = trained_um
    middle = (low * high) ** 0.5  # where the range is narrow, estimates err by more than it spans
    if min(low / _UNLIKE, middle / _FINER) <= estimate <= max(high * _UNLIKE, middle * _COARSER):
        return []
    sentence = (
        f"Vessels look like those at {estimate:.1f} um a pixel (to a factor of {ERROR_FACTOR:g}), "
        f"and the network was trained on {pitches_text(trained_um)}: name the field of view."
    )
    return [Reason(PITCH_UNLIKE, sentence)]
