"""data.json of a run: the fingerprints of its cases, and the check that they are still the same."""

import json
from collections.abc import Mapping

from s2a_jax.errors import UserError
from s2a_jax.files import written_whole
from s2a_jax.inputs.names import counted, first_few
from s2a_jax.runs.files import read_object
from s2a_jax.runs.workdir import Workdir


def write_record(workdir: Workdir, cases: Mapping[str, str]) -> None:
    """Writes the fingerprints of a run's cases.

    Args:
        workdir: the folder of the run.
        cases: name of a case -> its fingerprint.

    Raises:
        UserError: the file cannot be written.
    """
    with written_whole(workdir.data) as partial:
        partial.write_text(json.dumps(cases, indent=0) + "\n")


def check_record(workdir: Workdir, cases: Mapping[str, str], accept: bool) -> str | None:
    """Compares the cases with those of the run's data.json; writes nothing.

    Args:
        workdir: the folder of a run that is resumed or evaluated.
        cases: name of a case -> its fingerprint.
        accept: `config.data.accept_changes`: return a change instead of raising.

    Returns:
        A sentence about an accepted change, for the log; None without a change.

    Raises:
        UserError: the cases have changed, or data.json cannot be read.
    """
    try:
        change = _change(read_object(workdir.data), cases)
        if change is not None:
            change = f"The data set has changed since the run in {workdir.path} began: {change}"
    except ValueError as error:
        change = f"{workdir.data}, the record of the data set, {error}"
    if change is None:
        return None
    if not accept:
        raise UserError(
            f"{change}. Put back the data, give another --workdir, or accept the data as they are "
            "with --config.data.accept_changes=True."
        )
    return f"{change}; config.data.accept_changes=True accepts that."


def _change(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """The difference between two records in words; None if they are the same."""
    changed = [name for name in before if name in after and before[name] != after[name]]
    missing = [name for name in before if name not in after]
    new = [name for name in after if name not in before]
    kinds = (
        (changed, "case has other pixels or masks", "cases have other pixels or masks"),
        (missing, "case is missing", "cases are missing"),
        (new, "case is new", "cases are new"),
    )
    parts = [
        f"{counted(len(names), one, several)} ({first_few(names)})"
        for names, one, several in kinds
        if names
    ]
    return ", ".join(parts) or None
