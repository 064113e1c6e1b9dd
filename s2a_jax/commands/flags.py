"""Flags that several commands share: error messages about them, and `--out`."""

import argparse
import contextlib
import errno
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from s2a_jax.errors import UserError
from s2a_jax.files import full_path

TTA_HELP = "average the network over the eight symmetries of the image, eight times as long"

_SHOWN = 40  # characters of a name that is too long for a message
_FIELD = re.compile(r"(?:--)?config\.data\.(\w+(?:\.\w+)?)")


def path_flag(text: str) -> Path:
    """The type of a flag that names one file or folder.

    Raises:
        ArgumentTypeError: the text is empty, which would mean the current folder, or longer than a
            path and the names in it can be.
    """
    if not text:
        raise argparse.ArgumentTypeError("expected a path, not an empty text (. is this folder)")
    path = Path(text)
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise argparse.ArgumentTypeError(
                f"{text[:_SHOWN]}... has {len(text)} characters, more than this system takes in a "
                "path or a name; give a shorter one"
            ) from None
    return path


def slabs_flag(text: str) -> Path:
    """The type of a flag that names a file or folder, or several separated by commas."""
    if not os.path.lexists(text):  # the name of one file may hold a comma
        for part in text.split(","):
            path_flag(part)
    return Path(text)


def with_flags(text: str, flags: Mapping[str, str]) -> str:
    """Replaces fields of `config.data` in a sentence by the flags of a command.

    Args:
        text: the sentence.
        flags: field -> flag; other fields keep their names.
    """
    return _FIELD.sub(lambda match: flags.get(match[1], match[0]), text)


@contextlib.contextmanager
def fields_as_flags(flags: Mapping[str, str]) -> Iterator[None]:
    """Replaces fields of `config.data` in error messages by the flags of a command."""
    try:
        yield
    except UserError as error:
        raise UserError(with_flags(str(error), flags)) from error


def check_out_folder(folder: Path, flag: Path) -> None:
    """Raises a UserError unless results can be written to a folder, or it can be made.

    Args:
        folder: the folder of the results.
        flag: value of `--out`: this folder, or a file in it.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out={flag}: {folder} is a file; give a folder.")
    parent = full_path(folder).parent
    if not parent.is_dir():
        raise UserError(
            f"--out={flag}: the folder {parent} does not exist; make it, or correct the path."
        )
    home = folder if folder.exists() else parent
    if not os.access(home, os.W_OK | os.X_OK):
        raise UserError(f"--out={flag}: {home} is not writable; give another folder.")


def left_out_lines(tasks: Collection[str]) -> tuple[str, ...]:
    """A sentence about the task that a network was not trained on; () if it has both."""
    words = {"rv": "vessels (RV)", "faz": "the FAZ"}
    return tuple(
        f"The network was trained without masks of {word}, so it predicts none."
        for task, word in words.items()
        if task not in tasks
    )


def make_out_folder(folder: Path) -> None:
    """Makes a folder that `check_out_folder` has checked."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"--out={folder} cannot be made: {error}.") from error
