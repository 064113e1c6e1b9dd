"""Lateral magnification, corrected by the axial length of the eye."""

from s2a_jax.errors import UserError

REFERENCE_AXIAL_LENGTH_MM = 23.95
"""Axial length that Optovue's AngioVue (OCTA-500) assumes; Zeiss Cirrus assumes 24.46 mm."""
_PRINCIPAL_POINT_MM = 1.82  # from the cornea to the second principal point, by Bennett
_PLAUSIBLE_MM = (15.0, 40.0)  # from nanophthalmos to extreme myopia


def bennett_factor(
    axial_length_mm: float, reference_axial_length_mm: float = REFERENCE_AXIAL_LENGTH_MM
) -> float:
    """Ratio of a true length on the retina to its length at the device's pitch.

    Bennett, Rudnicka and Edgar (Graefes Arch 1994): the retinal size of an angle is
    0.01306 (axial length - 1.82) mm per degree, so lengths scale with
    (axial length - 1.82) / (reference - 1.82), and areas with its square.

    Args:
        axial_length_mm: axial length of the eye, 15 to 40 mm.
        reference_axial_length_mm: axial length that the pitch assumes, 15 to 40 mm.

    Raises:
        UserError: a length out of range.
    """
    for name, value in (
        ("axial length", axial_length_mm),
        ("reference axial length", reference_axial_length_mm),
    ):
        if not _PLAUSIBLE_MM[0] <= value <= _PLAUSIBLE_MM[1]:
            raise UserError(
                f"The {name} {value:g} mm is outside {_PLAUSIBLE_MM[0]:g} to "
                f"{_PLAUSIBLE_MM[1]:g} mm; give it in millimetres, or leave it out."
            )
    return (axial_length_mm - _PRINCIPAL_POINT_MM) / (
        reference_axial_length_mm - _PRINCIPAL_POINT_MM
    )
