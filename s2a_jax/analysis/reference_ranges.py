"""Biomarkers of healthy eyes in the literature, each with its source.

A number is here only if it was measured as this package measures it, on the superficial plexus.
"""

from typing import NamedTuple


class Reference(NamedTuple):
    """A biomarker in one sample of healthy eyes.

    Attributes:
        mean: of the sample, in the biomarker's unit.
        sd: standard deviation.
        eyes: how many.
        device: OCT angiograph, field and method, as far as the abstract names them.
        source: authors, journal, year, volume and first page.
        doi: of the paper.
    """

    mean: float
    sd: float
    eyes: int
    device: str
    source: str
    doi: str

    @property
    def middle(self) -> tuple[float, float]:
        """Mean ± 1.96 standard deviations, which hold 95 % of a normal distribution."""
        return self.mean - 1.96 * self.sd, self.mean + 1.96 * self.sd


REFERENCES: dict[str, tuple[Reference, ...]] = {
    "faz_area_mm2": (
        Reference(
            0.266, 0.097, 70,
            "OCT angiography of the parafovea, superficial plexus",
            "Samara et al., Retina 2015;35:2188", "10.1097/IAE.0000000000000847",
        ),
        Reference(
            0.257, 0.104, 116,
            "AngioVue, 3 mm, superficial plexus, outlined by hand, corrected for axial length",
            "Linderman et al., Transl Vis Sci Technol 2017;6(3):16", "10.1167/tvst.6.3.16",
        ),
        Reference(
            0.32, 0.11, 70,
            "AngioVue (RTVue Avanti), 3 mm, superficial plexus",
            "Ghasemi Falavarjani et al., J Ophthalmic Vis Res 2018;13:260",
            "10.4103/jovr.jovr_173_17",
        ),
    ),
}  # fmt: skip
"""Biomarker -> samples of healthy eyes, values from the papers' abstracts."""

FAZ_SHAPE = (
    "No range for the other measures of the FAZ: published ones follow how its outline was drawn "
    "and smoothed, and none was measured as here."
)
VESSELS = (
    "No range for vessels: these masks hold the larger ones, and published densities and calibres "
    "count capillaries, by each device's own method."
)


def without_range(name: str) -> str:
    """Why a biomarker has no reference; "" if it has one."""
    if name in REFERENCES:
        return ""
    return FAZ_SHAPE if name.startswith("faz_") else VESSELS
