"""Names of the files that `predict` and `analyze` write, by which they are told from images."""

import re
from pathlib import Path

PREDICTED = "predictions"
"""`predict` writes a table and a journal of this name."""
ANALYZED = "eyes"
"""`analyze` writes a table and a journal of this name."""
SEGMENTATION = "_seg.dcm"
"""Both write <image> and this for DICOM images, with --dicom-seg."""
ENDINGS = ("_rv.png", "_faz.png", "_overlay.png", "_uncertainty.png", SEGMENTATION)
"""What follows the image's name in the names of its results."""
CONTACT_SHEET = re.compile(r"contact_sheet(-\d+)?\.png")
"""Names of the contact sheets that `analyze` writes."""


def journals_in(folder: Path, name: str) -> list[Path]:
    """The journals of all processes in a folder, sorted; [] if there is no such folder.

    Args:
        folder: of results.
        name: of the journals, without -I-of-N and extension.
    """
    ours = re.compile(rf"{re.escape(name)}(-\d+-of-\d+)?\.jsonl")
    return sorted(path for path in folder.glob("*.jsonl") if ours.fullmatch(path.name))


def has_result_name(path: Path) -> bool:
    """Whether a file has a name as results have: of a mask, an overlay, or a contact sheet."""
    return path.name.endswith(ENDINGS) or bool(CONTACT_SHEET.fullmatch(path.name))


def holds_results(folder: Path) -> bool:
    """Whether `predict` or `analyze` wrote to a folder, as a journal shows."""
    return bool(journals_in(folder, ANALYZED) or journals_in(folder, PREDICTED))
