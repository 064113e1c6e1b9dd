"""Published Dice, each with its citation.

None of these numbers was measured with this package, and protocols differ, so they do not compare
with its own results. Where a publication does not state its subset, image size, threshold or
aggregation, `protocol` says so.
"""

import dataclasses
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Published:
    """One published result.

    Attributes:
        method: name of the method in its publication.
        network: name of the network in this package, or None where the package does not have it.
        dataset: `octa500` or `rose`.
        subset: as in `config.data.subset`.
        rv: Dice of the vessels in percent, or None.
        faz: Dice of the avascular zone in percent, or None.
        citation: where the numbers were published.
        protocol: how they were measured, as far as the publication states it.
    """

    method: str
    network: str | None
    dataset: str
    subset: str
    rv: float | None
    faz: float | None
    citation: str
    protocol: str


_README = "README of S2A-Net's released code"
_UNSTATED = "OCTA-500, subset not stated (FAZ near 98 points to 3M)"
_AT_320 = f"{_UNSTATED}; its code resizes to 320x320 and cuts at 128/255"
_PAGE = "page of Joint-Seg's authors"
_OTSU = "subset as given; its code cuts at Otsu's threshold of each image"
_MAMBA = "Table I of the OCTAMamba paper"
_AT_224 = "images at 224x224"
_WINDOW = (
    "FAZ within 120x120 px of the perivascular region, which no released code defines (where this "
    "package measures it: the window centred on the true FAZ's centroid, moved into the image)"
)

PUBLISHED = (
    Published("U-Net", "unet", "octa500", "3M", 88.23, 95.69, _README, _AT_320),
    Published("TransUNet", "transunet", "octa500", "3M", 90.06, 97.39, _README, _AT_320),
    Published("Joint-Seg", "jointseg", "octa500", "3M", 90.35, 98.05, f"{_README}, their rerun",
              _AT_320),
    Published("Joint-Seg", "jointseg", "octa500", "3M", 91.13, 98.43, _PAGE, _OTSU),
    Published("PL-Joint-Seg", None, "octa500", "3M", 91.65, 98.48, _PAGE, _OTSU),
    Published("S2A-Net", "s2anet", "octa500", "3M", 90.82, 98.54,
              f"{_README}, both tables (its headline says RV 91.82)", _AT_320),
    Published("OCTAMamba", None, "octa500", "3M", 84.50, None, _MAMBA, _AT_224),
    Published("U-Net", "unet", "octa500", "3M", 79.36, None, _MAMBA, _AT_224),
    Published("VAFF-Net", "vaffnet", "octa500", "3M", None, 97.68, _README,
              f"{_UNSTATED}; {_WINDOW}"),
    Published("S2A-Net", "s2anet", "octa500", "3M", None, 98.64, _README,
              f"{_UNSTATED}; {_WINDOW}"),
    Published("Joint-Seg", "jointseg", "octa500", "6M", 89.72, 90.51, _PAGE, _OTSU),
    Published("PL-Joint-Seg", None, "octa500", "6M", 89.82, 91.10, _PAGE, _OTSU),
    Published("OCTAMamba", None, "octa500", "6M", 82.31, None, _MAMBA, _AT_224),
    Published("U-Net", "unet", "octa500", "6M", 77.32, None, _MAMBA, _AT_224),
    Published("Joint-Seg", "jointseg", "rose", "H", 79.63, 81.00, _README, "ROSE-H"),
    Published("S2A-Net", "s2anet", "rose", "H", 81.36, 81.41, _README, "ROSE-H"),
    Published("VAFF-Net", "vaffnet", "rose", "H", None, 79.64, _README, f"ROSE-H; {_WINDOW}"),
    Published("S2A-Net", "s2anet", "rose", "H", None, 81.23, _README, f"ROSE-H; {_WINDOW}"),
)  # fmt: skip
"""All published results, in the order of tables."""


def published_for(dataset: str, subset: str) -> tuple[Published, ...]:
    """Selects the published results on one data set.

    Args:
        dataset: `config.data.name`; only `octa500` and `rose` have published results.
        subset: `config.data.subset`.
    """
    return tuple(p for p in PUBLISHED if (p.dataset, p.subset) == (dataset, subset))


def citations(published: tuple[Published, ...]) -> Iterator[str]:
    """Yields one sentence, numbered by `citation_number`, for each citation and protocol."""
    for number, (citation, protocol) in enumerate(_distinct(published), 1):
        yield f"[{number}] {citation}; {protocol}."


def citation_number(one: Published, published: tuple[Published, ...]) -> int:
    """Number of the sentence of `citations(published)` that belongs to `one`."""
    return _distinct(published).index((one.citation, one.protocol)) + 1


def _distinct(published: tuple[Published, ...]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((p.citation, p.protocol) for p in published))
