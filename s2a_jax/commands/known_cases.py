"""Which cases of an evaluation a network was trained on, as far as its workdir tells."""

from collections.abc import Sequence
from pathlib import Path

from s2a_jax.data.cases import Case, resized
from s2a_jax.data.fingerprint import fingerprint, of_pixels
from s2a_jax.data.load import image_size
from s2a_jax.inputs.names import counted, first_few
from s2a_jax.runs.files import read_object
from s2a_jax.runs.workdir import Workdir


class KnownCases:
    """Finds training cases of networks among others, by their pixels.

    A workdir records a hash of every case. Weights outside of one, as those that come with the
    package, tell nothing.

    Args:
        weights: workdirs, checkpoints of them, or files; all are used together.
    """

    def __init__(self, weights: Sequence[str]):
        self._digests: dict[int, set[str]] = {}  # side of the images in pixels -> hashes
        self._found: list[str] = []
        self._unread: list[str] = []
        for workdir in filter(None, map(_workdir_of, weights)):
            try:
                record = read_object(workdir.data)
            except ValueError as error:
                self._unread.append(
                    f"Whether cases are training cases is not known: {workdir.data} {error}."
                )
                continue
            digests = self._digests.setdefault(image_size(workdir.load_config().data), set())
            digests |= {of_pixels(record[name]) for name in record if "/train/" in name}

    def look_at(self, name: str, case: Case) -> None:
        """Notes a case that is evaluated.

        Args:
            name: its name, for the sentences.
            case: at its native size.
        """
        for size, digests in self._digests.items():
            image = resized(case, size).image
            if of_pixels(fingerprint(image, None, None)) in digests:
                self._found.append(name)
                return

    def notes(self, total: int) -> tuple[str, ...]:
        """Sentences about the cases that were looked at; () if no training case was among them.

        Args:
            total: number of all cases.
        """
        if not self._found:
            return tuple(self._unread)
        known = (
            f"{len(self._found)} of {counted(total, 'case')} ({first_few(self._found)}) served to "
            "train the network: what it scores there says little about new images."
        )
        return (*self._unread, known)


def _workdir_of(weights: str) -> Workdir | None:
    """The workdir that weights are of: itself, one of its checkpoints, or a file in it."""
    path = Path(weights).expanduser()
    if not path.exists():
        return None  # of the package
    near = (Workdir(folder) for folder in (path, *path.absolute().parents[:2]) if folder.is_dir())
    return next((one for one in near if one.config.is_file()), None)
