"""The folder of a comparison: which runs it holds, and how far each is."""

import re
from pathlib import Path
from typing import Any

from s2a_jax.comparison.results import readable
from s2a_jax.errors import UserError
from s2a_jax.runs.files import read_object
from s2a_jax.runs.workdir import Workdir

RECORD = "compare.json"
"""File in a run's workdir: `seconds` of training so far, `finished`, and `eval`, the section of the
configuration that the results were made under (None: unknown)."""

LOGS = "logs"
"""Folder beside the workdirs for what the runs print, `<label>.log` each."""

_LABEL = re.compile(r"(.+)-seed\d+(?:-fold\d+)?")
_FOLD = re.compile(r"(.+-seed\d+)-fold\d+")


def read_record(workdir: Path) -> dict[str, Any]:
    """What is recorded of a run; of one that never ended, that it is not finished.

    Raises:
        UserError: the file is damaged.
    """
    path = workdir / RECORD
    record = {"seconds": 0.0, "finished": False, "eval": None}
    if path.is_file():
        record |= readable(read_object, path)
        if not isinstance(record["seconds"], int | float):
            raise UserError(f"{path}: seconds is not a number; delete the file.")
    return record


def is_of_comparison(folder: Path) -> bool:
    """Whether a comparison trained runs in a folder, or has begun to."""
    logs = folder.glob(f"{LOGS}/*.log")
    return any(_LABEL.fullmatch(log.stem) and (folder / log.stem).is_dir() for log in logs)


def runs_in(folder: Path) -> list[Path]:
    """The workdirs of all seeds and folds of the network that a comparison trained.

    Args:
        folder: the comparison's.

    Returns:
        The workdirs, sorted; [] if the folder is not one of a comparison.

    Raises:
        UserError: it holds several networks, or a run is not finished.
    """
    runs = {child: _LABEL.fullmatch(child.name) for child in sorted(folder.iterdir())}
    runs = {path: match[1] for path, match in runs.items() if match and path.is_dir()}
    if not any((path / RECORD).is_file() for path in runs):
        return []
    names = sorted(set(runs.values()))
    if len(names) > 1:
        raise UserError(
            f"{folder} holds runs of {', '.join(names)}; name those of one network, as "
            f"'{folder}/{names[0]}-*'."
        )
    for path in runs:
        if not (path / RECORD).is_file():  # under way, or stopped before its first record
            raise _unfinished(path)
    check_finished(list(runs))
    for path in runs:
        if missing := [one for one in _fellow_folds(path) if one not in runs]:
            raise _unfinished(missing[0])
    return list(runs)


def _fellow_folds(workdir: Path) -> list[Path]:
    """The workdirs of all folds that a comparison trains beside a run; [] without folds."""
    label, run = _FOLD.fullmatch(workdir.name), Workdir(workdir)
    if label is None or not run.config.is_file():
        return []
    count = run.value("data.folds", 0)
    return [workdir.with_name(f"{label[1]}-fold{number}") for number in range(count)]


def check_finished(workdirs: list[Path]) -> None:
    """Raises a UserError if one of the workdirs is a comparison's run that is not finished."""
    recorded = [path for path in workdirs if (path / RECORD).is_file()]
    waiting = [path for path in recorded if not read_record(path)["finished"]]
    if waiting:
        raise _unfinished(waiting[0])


def _unfinished(workdir: Path) -> UserError:
    return UserError(
        f"{workdir} is not finished; run the comparison again to finish it, or name the other runs "
        "one by one."
    )
