"""A trained network with everything that can be asked of it: masks, numbers, and trust in them."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s2a_jax.analysis.analysis import Analysis, EyeFacts, analyze
from s2a_jax.biomarkers.magnification import REFERENCE_AXIAL_LENGTH_MM, bennett_factor
from s2a_jax.biomarkers.measure import isotropic_pitch, parse_laterality
from s2a_jax.errors import UserError
from s2a_jax.inference.ensemble import Ensemble, load_all
from s2a_jax.inference.scale import UmPerPx
from s2a_jax.inference.segmenter import Predictor, Segmenter, check_threshold
from s2a_jax.inputs.images import to_unit_float
from s2a_jax.inputs.pitch import FIELD_MM, check_range
from s2a_jax.inputs.slabs import first_slab, slabs_to_unit_float


class Analyst(Predictor):
    """What analyses an image with whatever predicts it."""

    def analyze(
        self,
        image: np.ndarray,
        *,
        field_mm: float | None = None,
        um_per_px: UmPerPx | None = None,
        laterality: str | None = None,
        axial_length_mm: float | None = None,
        reference_axial_length_mm: float = REFERENCE_AXIAL_LENGTH_MM,
        tta: bool = False,
        threshold: float = 0.5,
    ) -> Analysis:
        """Segments an image, measures it, and says what is doubtful about it.

        Args:
            image: as for `predict`.
            field_mm: side of the square field of view of a square image, mm; the pitch follows.
            um_per_px: pitch of the pixels, um, in place of `field_mm`: a number, or (down, across)
                for pixels that are not square. Without both nothing is measured.
            laterality: "OD" or "OS"; names nasal and temporal sectors.
            axial_length_mm: of the eye; corrects lengths for magnification.
            reference_axial_length_mm: axial length that the pitch assumes.
            tta: average over the eight symmetries, which takes eight times as long and adds
                `Analysis.spread`.
            threshold: smallest probability of a mask's pixels, in [0, 1].

        Returns:
            Masks, probabilities, biomarkers, quality; in a notebook it shows itself.

        Raises:
            UserError: an argument that cannot be used.
        """
        if field_mm is not None and um_per_px is not None:
            raise UserError("Give field_mm or um_per_px, not both.")
        check_threshold(threshold)
        check_range("field_mm", field_mm, FIELD_MM, "mm")
        if axial_length_mm is not None:  # raises if it is out of range
            bennett_factor(axial_length_mm, reference_axial_length_mm)
        pixels = slabs_to_unit_float(image, self.slabs) if self.slabs else to_unit_float(image)
        source = "um_per_px" if um_per_px is not None else ""
        if field_mm is not None:
            um_per_px = isotropic_pitch(tuple(field_mm * 1000 / n for n in pixels.shape[:2]))
            source = "field_mm"
        computed = self.compute(pixels, um_per_px=um_per_px, tta=tta)
        own = computed.scale.um_per_px
        eye = EyeFacts(
            um_per_px=None if own is None else math.sqrt(math.prod(own)),  # keeps areas
            pitch_source=source,
            laterality=parse_laterality(laterality),
            axial_length_mm=axial_length_mm,
            reference_axial_length_mm=reference_axial_length_mm,
        )
        return analyze(
            first_slab(pixels),
            computed,
            eye,
            threshold=threshold,
            trained_um=self.pitches_um,
        )


class S2ANetEnsemble(Analyst, Ensemble):
    """Several trained networks as one, with the methods of `S2ANet` that take images."""


class S2ANet(Analyst, Segmenter):
    """A trained network for en-face OCTA images.

        model = S2ANet.pretrained()
        rv, faz = model.predict(image, um_per_px=9.87)
        analysis = model.analyze(image, field_mm=3, laterality="OD")
        analysis.biomarkers["faz_area_mm2"], analysis.quality.level, analysis.overlay()

    The Linen module of the same name is `s2a_jax.models.s2anet.S2ANet`.
    """

    @staticmethod
    def ensemble(
        paths: str | Path | Sequence[str | Path], runtime: str | None = None
    ) -> S2ANetEnsemble:
        """Loads several networks; masks, numbers and `spread` are those of their mean.

            model = S2ANet.ensemble(["runs/one", "runs/two"])
            analysis = model.analyze(image, field_mm=3)

        Args:
            paths: one, or a sequence of at least one, each as for `load_from_checkpoint`.
            runtime: as for `load_from_checkpoint`.

        Raises:
            UserError: one of them cannot be loaded, they differ in what they take or give, or there
                is none.
        """
        if isinstance(paths, str | Path):  # a string is a sequence too, of its characters
            paths = [paths]
        return S2ANetEnsemble(load_all([str(path) for path in paths], runtime))
