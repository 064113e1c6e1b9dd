"""Which cases of an evaluation networks were trained on, as far as their workdirs tell."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from s2a_jax.config.values import flatten
from s2a_jax.data.cases import Case, resized
from s2a_jax.data.fingerprint import fingerprint, of_pixels
from s2a_jax.data.load import image_size
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import counted, first_few
from s2a_jax.runs.files import read_object
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training.stored import SHIPPED


class KnownCases:
    """Finds training cases of networks among others, by their pixels.

    A workdir records a hash of every case, and which network its run started from. Weights outside
    of one tell nothing; those that come with the package have seen no real eye.

    Args:
        weights: workdirs, checkpoints of them, or files; a case is known if any has seen it.
    """

    def __init__(self, weights: Sequence[str]):
        self._digests: dict[int, set[str]] = {}  # side of the images in pixels -> hashes
        self._found: list[str] = []
        self._unknown: dict[str, None] = {}
        for run in self._runs(weights):
            try:
                size, digests = _training_cases(run)
            except (UserError, ValueError) as error:
                self._unknown[str(error)] = None
            else:
                self._digests.setdefault(size, set()).update(digests)

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
        notes = tuple(
            f"Whether these are training cases of the network is not known: {reason}"
            for reason in self._unknown
        )
        if not self._found:
            return notes
        known = (
            f"{len(self._found)} of {counted(total, 'case')} ({first_few(self._found)}) are "
            "training cases: the scores on them say little about new images."
        )
        return (*notes, known)

    def _runs(self, weights: Sequence[str]) -> Iterator[Workdir]:
        """The runs that made the weights, and those that they started from."""
        left = [run for run in map(_run_of, weights) if run is not None]
        seen = set()
        while left:
            run = left.pop()
            if run.path in seen:
                continue
            seen.add(run.path)
            yield run
            try:
                start = run.value("model.start_from")
            except UserError:
                continue  # `_training_cases` says so
            if not start or start in SHIPPED:
                continue
            before = _run_of(start)
            if before is None:
                self._unknown[f"{run.path} started from {start}, which is in no workdir here."] = (
                    None
                )
            else:
                left.append(before)


def _training_cases(run: Workdir) -> tuple[int, set[str]]:
    """Side of a run's images in pixels, and the hashes of its training cases.

    Raises:
        UserError: the configuration is damaged, or names a data set that is not known.
        ValueError: data.json cannot be used.
    """
    config = run.load_config()
    if not {"data.name", "data.size"} <= flatten(config).keys():
        raise ValueError(f"{run.config} is no configuration of a run.")
    if not run.data.is_file():
        raise ValueError(f"{run.data} is missing.")
    try:
        record = read_object(run.data)
    except ValueError as error:
        raise ValueError(f"{run.data} {error}.") from error
    if not all(isinstance(digest, str) for digest in record.values()):
        raise ValueError(f"{run.data} holds no hashes.")
    digests = {of_pixels(record[name]) for name in record if "/train/" in name}
    return image_size(config.data), digests


def _run_of(weights: str) -> Workdir | None:
    """The run whose workdir weights are: the workdir, one of its checkpoints, or a file in it."""
    path = Path(weights).expanduser().absolute()
    if not path.exists():
        return None
    folder = path if path.is_dir() else path.parent
    if folder.parent.name == "checkpoints":
        folder = folder.parents[1]
    run = Workdir(folder)
    return run if run.config.is_file() else None
