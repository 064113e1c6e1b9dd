"""Checkpoints as folders of files: sealed with checksums, checked, and set aside when damaged.

A checkpoint is a folder `<step>`. Its file `SHA256SUMS` has the SHA-256 of every other file in it,
in the format of the program `sha256sum`. It is written last, before the folder gets its name: so a
checkpoint without it is damaged, however a run ended.
"""

import hashlib
import json
import shutil
from pathlib import Path

from s2a_jax.errors import UserError

SUMS = "SHA256SUMS"


def seal(folder: Path) -> None:
    """Writes the checksums of a complete checkpoint.

    Raises:
        OSError: a file cannot be read or written.
    """
    (folder / SUMS).write_text(_sums(folder))


def damage(folder: Path) -> str | None:
    """Compares every file of a checkpoint with its checksum.

    Returns:
        The first difference in words that fit into brackets; None if there is none.

    Raises:
        UserError: a file may not be read.
    """
    try:
        stored = (folder / SUMS).read_bytes().decode(errors="replace")
        found = _sums(folder)
    except PermissionError as error:
        raise UserError(f"A checkpoint may not be read: {error}.") from error
    except OSError as error:  # a file is missing, or the disk cannot read it
        return str(error)
    if stored == found:
        return None
    known = {line.partition("  ")[2] for line in stored.splitlines()}
    changed = sorted(set(found.splitlines()) - set(stored.splitlines()))
    for name in (line.partition("  ")[2] for line in changed):
        return f"{name} does not have its checksum" if name in known else f"{SUMS} lacks {name}"
    return f"a file is missing that {SUMS} names"


def _sums(folder: Path) -> str:
    """Lines of checksum and name; without files whose name starts with a dot.

    Such files are left by file managers and network file systems.
    """
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*")}
    lines = []
    for name, file in sorted(files.items()):
        if file.is_file() and not file.name.startswith(".") and name != SUMS:
            with file.open("rb") as content:
                lines.append(f"{hashlib.file_digest(content, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)


def steps_in(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, ascending; unfinished ones have other names."""
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(int(name) for name in names if name.isdecimal())


def score_of(checkpoint: Path) -> float | None:
    """Score of a checkpoint; None if it was not validated.

    Raises:
        ValueError: the file of the score is damaged.
        OSError: it cannot be read.
    """
    file = checkpoint / "metrics/metrics"
    if not file.exists():
        return None
    values = json.loads(file.read_text())
    if not isinstance(values, dict) or not isinstance(values.get("score"), int | float):
        raise ValueError("it holds no score")
    return values["score"]


def best_in(folder: Path) -> int | None:
    """Step of the best validated checkpoint, the newest among equals; or else of the newest.

    Returns:
        None if there is no checkpoint.

    Raises:
        UserError: a score is damaged.
    """
    ranked = []
    for step in steps_in(folder):
        try:
            score = score_of(folder / str(step))
        except (OSError, ValueError) as error:
            raise UserError(
                f"The score of a checkpoint, {folder / str(step) / 'metrics/metrics'}, cannot be "
                f"read ({error}); pass one of {folder}/<step>."
            ) from error
        ranked.append((score is not None, score, step))
    return max(ranked)[2] if ranked else None


def remove_unfinished(folder: Path) -> None:
    """Removes what a killed run, or one without room on the disk, has begun to write."""
    for path in folder.glob("*.orbax-checkpoint-tmp*"):
        shutil.rmtree(path, ignore_errors=True)


def set_damaged_aside(folder: Path) -> list[str]:
    """Renames every damaged checkpoint to `damaged-<step>`, so that it is neither used nor lost.

    Returns:
        A sentence about each of them, and one about those that are left; [] if none is damaged.

    Raises:
        UserError: a file may not be read, a folder cannot be renamed, or all are damaged: whether
            to begin anew is for the user to say.
    """
    notes = []
    for step in steps_in(folder):
        checkpoint = folder / str(step)
        found = damage(checkpoint)
        if found is None:
            continue
        aside, number = folder / f"damaged-{step}", 1
        while aside.exists():
            number += 1
            aside = folder / f"damaged-{step}-{number}"
        try:
            checkpoint.rename(aside)
        except OSError as error:
            raise UserError(
                f"The checkpoint {checkpoint} is damaged ({found}), and cannot be renamed: {error}."
            ) from error
        notes.append(
            f"The checkpoint {checkpoint} is damaged ({found}); it is not used, and is kept as "
            f"{aside.name}."
        )
    if notes and not steps_in(folder):
        raise UserError(
            f"{' '.join(notes)} No checkpoint is left: put back a copy of one, or train anew (in "
            "another --workdir, if this one has results)."
        )
    return [*notes, _left(folder)] if notes else []


def _left(folder: Path) -> str:
    """A sentence about the checkpoints in a folder, none of which is damaged."""
    steps = steps_in(folder)
    scores = {step: score_of(folder / str(step)) for step in steps}
    best = best_in(folder)
    newest = f"The newest checkpoint now is step {steps[-1]}"
    if scores[best] is None:
        return f"{newest}; none that is left was validated."
    return f"{newest}, the best is step {best} with score {scores[best]:.4f}."
