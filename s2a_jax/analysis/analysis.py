"""The analysis of one eye: what `analyze`, the Python interface and the web page show."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from s2a_jax.analysis.pictures import draw, heat
from s2a_jax.biomarkers.magnification import REFERENCE_AXIAL_LENGTH_MM
from s2a_jax.biomarkers.measure import measure
from s2a_jax.inference.masks import LEFT_OUT, masks_of
from s2a_jax.inference.pieces import Computed
from s2a_jax.inputs.images import resize_image
from s2a_jax.quality.assess import Quality, assess
from s2a_jax.quality.confidence import entropy, expected_dice, without

TASKS = ("rv", "faz")


@dataclass(frozen=True)
class EyeFacts:
    """What is known about an eye beside its image.

    Attributes:
        um_per_px: pitch of the image's pixels, um; None if unknown.
        pitch_source: where the pitch is from, such as "field-mm" or "DICOM"; "" if unknown.
        laterality: "OD", "OS", or None if unknown.
        axial_length_mm: of the eye; None: lengths are not corrected for magnification.
        reference_axial_length_mm: the axial length that the pitch assumes.
    """

    um_per_px: float | None = None
    pitch_source: str = ""
    laterality: str | None = None
    axial_length_mm: float | None = None
    reference_axial_length_mm: float = REFERENCE_AXIAL_LENGTH_MM


@dataclass(frozen=True, eq=False, repr=False)
class Analysis:
    """Masks of one eye and what follows from them.

    Attributes:
        picture: the image that the network saw at the image's own size, float32 [H, W] in [0, 1];
            with several slabs the first.
        probability: {"rv", "faz"}: float32 [H, W] in [0, 1]; without a task that the network was
            not trained on.
        spread: the same keys: standard deviation of the probability over the eight symmetries and
            over several networks, float32 [H, W]; None without either.
        masks: the same keys: bool [H, W], where the probability reaches the threshold; of the FAZ
            the most central piece alone.
        biomarkers: name -> value, as `s2a_jax.biomarkers.measure` describes them; {} without a
            pixel pitch.
        expected_dice: task -> Dice that its mask would have if the probabilities were right.
        quality: what is doubtful about the image or its masks.
        eye: what is known beside the image.
        notes: sentences about what reading and prediction had to change.
        faz_left_out: number of pieces that are left out of the FAZ's mask.
    """

    picture: np.ndarray
    probability: Mapping[str, np.ndarray]
    spread: Mapping[str, np.ndarray] | None
    masks: Mapping[str, np.ndarray]
    biomarkers: Mapping[str, float]
    expected_dice: Mapping[str, float]
    quality: Quality
    eye: EyeFacts
    notes: tuple[str, ...]
    faz_left_out: int = 0

    @property
    def rv(self) -> np.ndarray | None:
        """Vessel mask, bool [H, W]; None if the network was not trained on vessels."""
        return self.masks.get("rv")

    @property
    def faz(self) -> np.ndarray | None:
        """FAZ mask, bool [H, W]; None if the network was not trained on the FAZ."""
        return self.masks.get("faz")

    @cached_property
    def uncertainty(self) -> dict[str, np.ndarray]:
        """Task -> entropy of the probability, float32 [H, W] in bits: 1 where it is 0.5."""
        return {task: entropy(p).astype(np.float32) for task, p in self.probability.items()}

    @property
    def mean_entropy(self) -> dict[str, float]:
        """Task -> mean entropy inside its mask, bits in [0, 1]; NaN if the mask is empty."""
        return {
            task: float(self.uncertainty[task][mask].mean()) if mask.any() else np.nan
            for task, mask in self.masks.items()
        }

    @property
    def mean_spread(self) -> dict[str, float]:
        """Task -> mean spread inside its mask; NaN if the mask is empty; {} without spread."""
        return {
            task: float(spread[self.masks[task]].mean()) if self.masks[task].any() else np.nan
            for task, spread in (self.spread or {}).items()
        }

    def overlay(self) -> np.ndarray:
        """The image with vessels in red and the outline of the FAZ in blue, uint8 [H, W, 3]."""
        return draw(self.picture, self.rv, self.faz)

    def uncertainty_picture(self) -> np.ndarray:
        """The image with the larger of the tasks' uncertainties in colour, uint8 [H, W, 3]."""
        return heat(self.picture, np.maximum.reduce([*self.uncertainty.values()]))

    def row(self) -> dict[str, str | float]:
        """One row of a table of eyes; NaN where a number is not defined."""
        height, width = self.picture.shape
        entropy_bits = self.mean_entropy
        pixels = {
            f"{task}_px": float(self.masks[task].sum()) if task in self.masks else np.nan
            for task in TASKS
        }
        return {
            "height_px": float(height),
            "width_px": float(width),
            "image_um_per_px": np.nan if self.eye.um_per_px is None else self.eye.um_per_px,
            "pitch_source": self.eye.pitch_source,
            "laterality": self.eye.laterality or "",
            "axial_length_mm": (
                np.nan if self.eye.axial_length_mm is None else self.eye.axial_length_mm
            ),
            "quality": self.quality.level,
            "doubts": " ".join(reason.name for reason in self.quality.reasons),
            **pixels,
            **{f"{t}_expected_dice": self.expected_dice.get(t, np.nan) for t in TASKS},
            **{f"{t}_entropy_bits": entropy_bits.get(t, np.nan) for t in TASKS},
            **{f"{t}_spread": value for t, value in self.mean_spread.items()},
            **self.biomarkers,
        }

    def __repr__(self) -> str:
        height, width = self.picture.shape
        shares = (f"{task} {mask.mean():.1%}" for task, mask in self.masks.items())
        measured = f"{len(self.biomarkers)} biomarkers" if self.biomarkers else "no pixel pitch"
        return (
            f"Analysis({width}x{height} px, {self.quality.level}, {', '.join(shares)}, {measured})"
        )

    def _repr_html_(self) -> str:
        from s2a_jax.analysis.html import fragment  # pages need jinja2, analyses do not

        return fragment(self)


def analyze(
    picture: np.ndarray,
    computed: Computed,
    eye: EyeFacts,
    *,
    threshold: float = 0.5,
    trained_um: tuple[float, float] | None = None,
    notes: tuple[str, ...] = (),
) -> Analysis:
    """Makes the analysis of a predicted image.

    Biomarkers are measured at the pitch at which the network saw the image, so that they do not
    depend on how finely it was exported (docs/biomarkers.md).

    Args:
        picture: float [H, W] in [0, 1], the image, or its first slab.
        computed: what the network made of it.
        eye: what is known beside the image.
        threshold: smallest probability of a mask's pixels, in [0, 1].
        trained_um: pitches that the network was trained on, um; None if unknown.
        notes: sentences about reading the image.

    Raises:
        UserError: an axial length or laterality that cannot be used.
    """
    probability = computed.probability
    masks, left_out = masks_of(probability, threshold)
    measured = masks_of(computed.at_network, threshold).masks
    biomarkers = {}
    if computed.um_per_px is not None:
        biomarkers = measure(
            measured.get("rv"),
            measured.get("faz"),
            um_per_px=computed.um_per_px,
            laterality=eye.laterality,
            axial_length_mm=eye.axial_length_mm,
            reference_axial_length_mm=eye.reference_axial_length_mm,
        )
    seen = picture
    if computed.scale.is_resampled:
        seen = resize_image(np.asarray(picture, np.float32), computed.scale.network_size)
        text = computed.scale.describe()
        notes = (*notes, f"{text[0].upper()}{text[1:]}.")
    if left_out:
        notes = (*notes, f"{LEFT_OUT[0].upper()}{LEFT_OUT[1:]} ({left_out}).")
    return Analysis(
        picture=np.asarray(picture, np.float32),
        probability=probability,
        spread=computed.spread,
        masks=masks,
        biomarkers=biomarkers,
        # As the network saw it: resampled maps look blurred, and pixels may not be square.
        expected_dice={
            task: expected_dice(without(p, (p >= threshold) & ~measured[task]), measured[task])
            for task, p in computed.at_network.items()
        },
        quality=assess(seen, computed.at_network, computed.um_per_px, trained_um),
        eye=eye,
        notes=notes,
        faz_left_out=left_out,
    )
