"""Files: names that can be used, files that appear only when they are complete, and locks."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from s2a_jax.errors import FullDiskError, UserError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk, of a quota that is used up, and of `ulimit -f`."""
_ADDRESS = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]+://\S*")


def check_name(path: str | Path) -> None:
    """Raises a UserError for a path that is not UTF-8, and for an address such as gs://bucket.

    A file of the one kind can be opened, but its name can neither be printed nor written to a
    table; of the other, a folder named "gs:" would be made. A name with a NUL is no file's.
    """
    if address := _ADDRESS.search(str(path)):
        raise UserError(
            f"{address[0]}: expected a file or folder, not an address; mount a bucket (gs:// with "
            "gcsfuse, docs/scaling.md), or copy the files, and give their path."
        )
    if "\0" in str(path):
        raise UserError(f"{str(path)!r}: no name of a file holds the character NUL; correct it.")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise UserError(
            f"{shown}: the name of this file or folder is not valid UTF-8; rename it."
        ) from None


def text_cell(text: str) -> str:
    """Text for a cell of a CSV file, which no spreadsheet takes for a formula.

    Text that starts with = + - @, a tab or a carriage return gets an apostrophe before it.
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def full_path(path: str | Path) -> Path:
    """The absolute path, without `~` and `..`, which some libraries refuse in a path."""
    return Path(os.path.abspath(Path(path).expanduser()))


def is_full(error: BaseException) -> bool:
    """Whether an error, or one that caused it, means that there is no room on a disk.

    Libraries in C++ raise errors of their own, whose text ends in the system's error.
    """
    cause = error.__cause__ or error.__context__
    if cause is not None and is_full(cause):
        return True
    return getattr(error, "errno", None) in _FULL or any(
        f"os_error_code='{number}'" in str(error) or os.strerror(number) in str(error)
        for number in _FULL
    )


def full_disk(what: str | Path) -> FullDiskError:
    """The error for what there is no room for; `what` as for `writing`."""
    return FullDiskError(
        f"Cannot write {what}: the disk is full, or a quota used up. What was complete before "
        "stays; make room and run the same command again."
    )


@contextlib.contextmanager
def writing(what: str | Path) -> Iterator[None]:
    """Turns an OSError within the block into a sentence.

    Args:
        what: the file or folder, or "to" and its flag, such as "to --out=masks".

    Raises:
        FullDiskError: there is no room.
        UserError: it cannot be written for another reason.
    """
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise full_disk(what) from error
        raise UserError(f"Cannot write {what}: {error}.") from error


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a path to write to, which becomes `path` when the block ends and vanishes if it fails.

    Raises:
        FullDiskError, UserError: as `writing`; `path` stays as it was.
    """
    # The suffix stays: numpy.savez would append its own.
    partial = path.with_name(f".partial-{path.name}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(lock: Path, place: str, wait: float = 0.0) -> Iterator[None]:
    """Keeps every other run out of a folder, which is made, while this one writes to it.

    The operating system frees the lock when the process ends, however it ends. Only on a file
    system without locks the file of a killed run stays behind.

    Args:
        lock: a file in the folder; runs with the same one exclude each other.
        place: the folder in messages, such as "--workdir=runs/demo".
        wait: seconds in which to try again if the lock is held.

    Raises:
        UserError: a run is at work here, or the folder cannot be written to.
    """
    held = FileLock(lock)
    with writing(f"to {place}"):
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire(timeout=wait)
        except Timeout as error:
            raise UserError(
                f"Another run is at work in {place}; wait for its end, or give another folder. "
                f"(If there is no such run, delete {held.lock_file}.)"
            ) from error
    try:
        yield
    finally:
        held.release()
