"""`--weights`: one network, or several that are averaged."""

import glob
from collections.abc import Sequence
from pathlib import Path

from s2a_jax.comparison.folder import check_finished, runs_in
from s2a_jax.errors import UserError

ENSEMBLE_HELP = (
    "Given several times, as a pattern in quotes ('runs/cv/s2anet-*'), or as the folder of a "
    "comparison of one network, the mean of the networks"
)


def weights_of(given: Sequence[str | Path]) -> list[str]:
    """The networks that values of `--weights` name.

    A folder of `compare` stands for its runs, and a pattern for the files and folders that it
    matches, sorted by name. Other values stay.

    Args:
        given: values of the flag.

    Raises:
        UserError: a pattern matches nothing, a comparison holds several networks, or a run is not
            finished.
    """
    return [path for value in given for path in _expanded(str(value))]


def _expanded(value: str) -> list[str]:
    path = Path(value).expanduser()
    if path.is_dir():
        return [*map(str, runs_in(path))] or [value]
    if path.exists() or not glob.has_magic(value):
        return [value]
    matched = sorted(Path(match) for match in glob.glob(str(path)))
    if not matched:
        raise UserError(f"--weights={value}: no file or folder has such a name.")
    check_finished(matched)
    return [*map(str, matched)]
