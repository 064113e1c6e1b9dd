"""All biomarkers of one eye from its masks, by name; docs/biomarkers.md tells what each one is."""

import numpy as np


def measure(
    rv: np.ndarray | None,
    faz: np.ndarray | None,
    *,
    um_per_px: float | tuple[float, float],
    laterality: str | None = None,
    axial_length_mm: float | None = None,
) -> dict[str, float]:
    """Measures one eye."""
    raise NotImplementedError
