"""Notes about files: what reading had to change or choose."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from s2a_jax.inputs.names import first_few


class Note(NamedTuple):
    """A note about one file.

    Attributes:
        path: the file.
        text: a phrase that several files may share, such as "turned upright (orientation 6)".
    """

    path: Path
    text: str

    @property
    def sentence(self) -> str:
        """The phrase as a sentence, for a place that names the file."""
        return f"{self.text[:1].upper()}{self.text[1:]}."


def note_lines(notes: Iterable[Note]) -> tuple[str, ...]:
    """One sentence for each different text, with the first files that share it."""
    paths: dict[str, dict[str, None]] = {}
    for note in notes:
        paths.setdefault(note.text, {})[str(note.path)] = None
    return tuple(f"{first_few(list(names))}: {text}." for text, names in paths.items())
